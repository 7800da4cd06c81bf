-- Wireshark dissector of the sallyport link (docs/protocol.md). It needs Wireshark 4 and the secrets of the session:
-- [identity] key_log on either node, then
--   tshark -r capture.pcapng -X lua_script:sallyport.lua -o tls.keylog_file:keys.log -Y sallyport -V
-- The link is recognised by its hello; for captures that begin later name the port:  -o sallyport.tls_port:4433
-- Frames that span TLS records are put together. Points are shown with their path once their definition was seen.

local sallyport = Proto("sallyport", "Sallyport link")

local MAGIC = "SLLYPORT"
local LONGEST = 16 * 1024 * 1024 + 65536 + 1
local LONGEST_HELLO = 64 * 1024 + 1
local LONGEST_TEXT, LONGEST_NAME, MOST_PATTERNS, MOST_HOPS = 1024, 256, 1024, 16

local TYPES = {
  [1] = "hello", [2] = "route", [3] = "define", [4] = "remove", [5] = "changes", [6] = "position", [7] = "heartbeat",
  [8] = "hops", [9] = "ack", [10] = "close", [11] = "refresh", [12] = "stale_changes", [13] = "begin", [14] = "ask_digests",
  [15] = "route_digests", [16] = "bucket_digests", [17] = "ask_repair", [18] = "repaired", [19] = "renew",
  [20] = "journal_held", [21] = "journal", [22] = "journal_ack",
}
local CLOSE_CODES = {
  [0] = "normal", [1] = "malformed", [2] = "version", [3] = "not_allowed", [4] = "timeout", [5] = "replaced", [6] = "limit",
  [7] = "reconfigured",
}
local HOP_STATES = { [0] = "connecting", [1] = "up", [2] = "down" }
-- OPC UA built-in types: name, bytes of a scalar of fixed size, format for string.unpack
local KINDS = {
  [0] = { "Null" }, { "Boolean", 1, "<B" }, { "SByte", 1, "<b" }, { "Byte", 1, "<B" }, { "Int16", 2, "<i2" }, { "UInt16", 2, "<I2" },
  { "Int32", 4, "<i4" }, { "UInt32", 4, "<I4" }, { "Int64", 8, "<i8" }, { "UInt64", 8, "<I8" }, { "Float", 4, "<f" },
  { "Double", 8, "<d" }, { "String" }, { "DateTime", 8, "<i8" }, { "Guid" }, { "ByteString" }, { "XmlElement" }, { "NodeId" },
  { "ExpandedNodeId" }, { "StatusCode", 4, "<I4" }, { "QualifiedName" }, { "LocalizedText" }, { "Structure" }, { "DataValue" },
  { "Variant" }, { "DiagnosticInfo" },
}
local IS_TEXT = { [12] = true, [16] = true, [17] = true, [18] = true, [20] = true }

local f = {
  length = ProtoField.uint32("sallyport.length", "Length"),
  type = ProtoField.uint8("sallyport.type", "Type", base.DEC, TYPES),
  version = ProtoField.uint16("sallyport.hello.version", "Version"),
  oldest = ProtoField.uint16("sallyport.hello.oldest", "Oldest version understood"),
  node = ProtoField.string("sallyport.node", "Node"),
  incarnation = ProtoField.uint64("sallyport.incarnation", "Incarnation", base.HEX),
  heartbeat = ProtoField.string("sallyport.hello.heartbeat", "Heartbeat"),
  timeout = ProtoField.string("sallyport.hello.timeout", "Timeout"),
  send = ProtoField.string("sallyport.hello.send", "Sends"),
  receive = ProtoField.string("sallyport.hello.receive", "Receives"),
  seen = ProtoField.uint64("sallyport.seen", "Seen"),
  defined = ProtoField.uint64("sallyport.defined", "Defined"),
  view = ProtoField.uint64("sallyport.view", "View", base.HEX),
  route = ProtoField.uint16("sallyport.route", "Route"),
  flags = ProtoField.uint8("sallyport.flags", "Flags", base.HEX),
  flag_names = ProtoField.string("sallyport.flag_names", "Flags"),
  origin = ProtoField.string("sallyport.origin", "Origin"),
  source = ProtoField.string("sallyport.source", "Source"),
  hop = ProtoField.string("sallyport.hop", "Hop"),
  link = ProtoField.string("sallyport.link", "Link"),
  peer = ProtoField.string("sallyport.peer", "Peer"),
  state = ProtoField.uint8("sallyport.state", "State", base.HEX),
  since = ProtoField.string("sallyport.since", "Since"),
  reason = ProtoField.string("sallyport.reason", "Reason"),
  delay = ProtoField.string("sallyport.delay", "Delay"),
  record = ProtoField.string("sallyport.point", "Point"),
  id = ProtoField.uint32("sallyport.point.id", "Id"),
  path = ProtoField.string("sallyport.point.path", "Path"),
  value = ProtoField.string("sallyport.point.value", "Value"),
  kind = ProtoField.string("sallyport.point.type", "Type"),
  status = ProtoField.uint32("sallyport.point.status", "Status", base.HEX),
  time = ProtoField.string("sallyport.point.time", "Source time"),
  meta = ProtoField.uint32("sallyport.point.meta", "Metadata"),
  unit = ProtoField.string("sallyport.point.unit", "Unit"),
  description = ProtoField.string("sallyport.point.description", "Description"),
  range = ProtoField.string("sallyport.point.range", "Range"),
  burst = ProtoField.uint8("sallyport.point.burst", "Burst"),
  enum = ProtoField.string("sallyport.point.enum", "Enum string"),
  digest = ProtoField.uint64("sallyport.digest", "Digest", base.HEX),
  points = ProtoField.uint64("sallyport.points", "Points"),
  count = ProtoField.uint32("sallyport.count", "Count"),
  bucket = ProtoField.uint32("sallyport.bucket", "Bucket"),
  sent = ProtoField.uint64("sallyport.heartbeat.sent", "Sent (ns, sender's clock)"),
  echo = ProtoField.uint64("sallyport.heartbeat.echo", "Echo (ns, receiver's clock)"),
  held = ProtoField.uint64("sallyport.heartbeat.held", "Held (ns)"),
  utc = ProtoField.string("sallyport.heartbeat.utc", "UTC"),
  stream = ProtoField.string("sallyport.journal.stream", "Stream"),
  journal = ProtoField.string("sallyport.journal.record", "Record"),
  acknowledged = ProtoField.uint64("sallyport.ack.bytes", "Bytes received"),
  code = ProtoField.uint16("sallyport.close.code", "Code", base.DEC, CLOSE_CODES),
  text = ProtoField.string("sallyport.close.text", "Text"),
}
sallyport.fields = f

local malformed = ProtoExpert.new("sallyport.malformed", "Malformed frame", expert.group.MALFORMED, expert.severity.ERROR)
local violation = ProtoExpert.new("sallyport.violation", "Frame out of place", expert.group.PROTOCOL, expert.severity.ERROR)
local closed = ProtoExpert.new("sallyport.closed", "Closed for a fault", expert.group.SEQUENCE, expert.severity.WARN)
sallyport.experts = { malformed, violation, closed }
sallyport.prefs.tls_port = Pref.range("TLS ports", "", "Ports of links whose hello was not captured", 65535)

local stream_of = Field.new("tcp.stream")
local streams = {}  -- tcp.stream → port of the speaker → what it said so far

-- Reading ---------------------------------------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

local function reader(tvb) return setmetatable({ tvb = tvb, at = 0, size = tvb:len() }, Reader) end
local function fail(what) error({ what = what }, 0) end

function Reader:take(size)
  if size < 0 or self.at + size > self.size then fail("cut short") end
  local from = self.at
  self.at = from + size
  return from
end
function Reader:range(from) return self.tvb(from, self.at - from) end
function Reader:bytes(size)
  local from = self:take(size)
  return size == 0 and "" or self.tvb:raw(from, size)
end
function Reader:number(format) return (string.unpack(format, self:bytes(string.packsize(format)))) end
function Reader:varint()
  local value, shift = 0, 0
  repeat
    if shift > 63 then fail("varint of more than 10 bytes") end
    local byte = self:number("<B")
    if shift == 63 and byte > 1 then fail("varint above 64 bits") end
    value = value | (byte & 0x7f) << shift
    shift = shift + 7
  until byte < 0x80
  return value
end
function Reader:zigzag()
  local n = self:varint()
  return (n >> 1) ~ -(n & 1)
end
function Reader:text(most)
  local size = self:varint()
  if size < 0 or size > most then fail("text longer than " .. most .. " bytes") end
  return self:bytes(size)
end
function Reader:count(most)
  local count = self:varint()
  if count < 0 or count > most then fail("more than " .. most .. " entries") end
  return count
end

-- Showing ---------------------------------------------------------------------------------------------------------------

local function time_text(ns)
  local ok, text = pcall(os.date, "!%Y-%m-%dT%H:%M:%S", ns // 1000000000)
  return ok and string.format("%s.%09dZ", text, ns % 1000000000) or tostring(ns)
end
local function duration_text(ns) return string.format("%.6g s", ns / 1e9) end
local function status_text(status)
  if status >> 30 == 0 then return status == 0 and "Good" or string.format("Good 0x%08x", status) end
  return string.format("%s 0x%08x", status >> 30 == 1 and "Uncertain" or "Bad", status)
end
local function flag_text(flags, names)
  local set = {}
  for i, name in ipairs(names) do
    if flags & (1 << (i - 1)) ~= 0 then set[#set + 1] = name end
  end
  return #set > 0 and table.concat(set, ", ") or "none"
end
local function show_flags(tree, r, names)
  local flags = r:number("<B")
  tree:add(f.flag_names, r.tvb(r.at - 1, 1), flag_text(flags, names)):append_text(string.format(" (0x%02x)", flags))
  if flags >= 1 << #names then fail("unknown flags") end
  return flags
end
-- Fixed numbers: little-endian, shown as they are.
local function show(tree, field, r, size)
  local from = r:take(size)
  tree:add_le(field, r.tvb(from, size))
end
local function show_text(tree, field, r, most)
  local from = r.at
  local text = r:text(most)
  tree:add(field, r:range(from), text)
  if not utf8.len(text) and field ~= f.text then fail("text that is not UTF-8") end
  return text
end
local function show_time(tree, field, r)
  local ns = r:number("<i8")
  tree:add(field, r.tvb(r.at - 8, 8), time_text(ns))
  return ns
end
local function show_duration(tree, field, r)
  local ns = r:number("<i8")
  tree:add(field, r.tvb(r.at - 8, 8), duration_text(ns))
  return ns
end
local function show_varint(tree, field, r)
  local from = r.at
  local value = r:varint()
  tree:add(field, r:range(from), field == f.count and value or UInt64(value & 0xffffffff, value >> 32))
  return value
end

-- Values ----------------------------------------------------------------------------------------------------------------

local function hex(bytes)
  local out = bytes:sub(1, 32):gsub(".", function(c) return string.format("%02x", c:byte()) end)
  return #bytes > 32 and out .. "…" or out
end

local function scalar_text(kind, bytes)
  local _, size, format = table.unpack(KINDS[kind])
  if size then
    if #bytes ~= size then fail("scalar of another size") end
    local number = string.unpack(format, bytes)
    if kind == 1 then
      if number > 1 then fail("Boolean is neither 0 nor 1") end
      return number == 1 and "true" or "false"
    end
    if kind == 13 then return time_text((number - 116444736000000000) * 100) end
    if kind == 19 then return status_text(number) end
    return kind == 9 and string.format("%u", number) or kind == 10 and string.format("%.9g", number) or
           kind == 11 and string.format("%.17g", number) or tostring(number)
  end
  return IS_TEXT[kind] and '"' .. bytes .. '"' or hex(bytes)
end

local function array_text(kind, bytes)
  local r = reader(ByteArray.new(bytes, true):tvb("array"))
  local rank, dimensions, count = r:count(32), {}, 1
  for i = 1, rank do
    dimensions[i] = r:varint()
    count = count * dimensions[i]
  end
  local out = {}
  for i = 1, math.min(count, 16) do
    local each = kind
    if kind == 24 then each = r:number("<B") & 0x7f end
    if not KINDS[each] then fail("unknown type") end
    local size = kind ~= 24 and KINDS[each][2] or r:varint()
    out[i] = scalar_text(each, r:bytes(size))
  end
  return "[" .. table.concat(dimensions, "×") .. "] " .. table.concat(out, ", ") .. (count > 16 and ", …" or "")
end

-- After the type byte. Returns the value as text.
local function value_text(r, type_byte)
  local kind, array = type_byte & 0x7f, type_byte >= 0x80
  if not KINDS[kind] then fail("unknown value type " .. kind) end
  if kind == 0 then
    if array then fail("array of null") end
    return "null"
  end
  local size = not array and KINDS[kind][2] or nil
  local bytes = size and r:bytes(size) or r:text(16 * 1024 * 1024)
  return array and array_text(kind, bytes) or scalar_text(kind, bytes)
end
local function kind_text(type_byte)
  local kind = KINDS[type_byte & 0x7f]
  return (kind and kind[1] or "?") .. (type_byte >= 0x80 and "[]" or "")
end

-- Messages: each gets the tree, the reader of its body, what its speaker said so far, and returns a summary. --------------

local messages = {}

messages[1] = function(tree, r, said)
  if r:bytes(8) ~= MAGIC then fail("not a sallyport link") end
  show(tree, f.version, r, 2)
  show(tree, f.oldest, r, 2)
  local node = show_text(tree, f.node, r, LONGEST_NAME)
  show(tree, f.incarnation, r, 8)
  local heartbeat, timeout = show_duration(tree, f.heartbeat, r), show_duration(tree, f.timeout, r)
  if heartbeat < 1000000 or heartbeat > 3600000000000 or timeout < heartbeat or timeout > 86400000000000 then
    fail("heartbeat or timeout out of range")
  end
  for _, field in ipairs({ f.send, f.receive }) do
    for _ = 1, r:count(MOST_PATTERNS) do show_text(tree, field, r, LONGEST_TEXT) end
  end
  local held = tree:add("Held of the peer's table")
  show(held, f.incarnation, r, 8)
  show(held, f.seen, r, 8)
  show(held, f.defined, r, 8)
  show(held, f.view, r, 8)
  local flags = r:number("<B")
  tree:add(f.flag_names, r.tvb(r.at - 1, 1), flag_text(flags, { "takes journal records", "reads only acknowledgements", "reads nothing" }))
  r.at = r.size  -- later versions may append
  said.node = node
  return node
end

messages[13] = function(tree, r, said)
  local flags = show_flags(tree, r, { "resumed" })
  show(tree, f.view, r, 8)
  if flags == 0 and not said.fixed then said.paths = {} end
  return flags == 1 and "resumed" or "anew"
end

messages[2] = function(tree, r)
  show(tree, f.route, r, 2)
  local route = string.unpack("<I2", r.tvb:raw(0, 2))
  local flags = show_flags(tree, r, { "covered", "renew", "withdrawn", "complete" })
  local origin = show_text(tree, f.origin, r, LONGEST_NAME)
  local source = show_text(tree, f.source, r, LONGEST_NAME)
  local hops = r:number("<B")
  if hops > MOST_HOPS then fail("more than 16 hops") end
  for _ = 1, hops do show_text(tree, f.hop, r, LONGEST_NAME) end
  local summary = route .. " " .. origin .. "/" .. source
  if flags & 1 == 0 then return summary .. (flags & 4 ~= 0 and " withdrawn" or "") end
  show(tree, f.status, r, 4)
  if string.unpack("<I4", r.tvb:raw(r.at - 4, 4)) >> 30 == 0 then fail("an overlay must not be good") end
  local cause = tree:add("Cause")
  show_text(cause, f.node, r, LONGEST_NAME)
  show_text(cause, f.link, r, LONGEST_NAME)
  show_time(cause, f.since, r)
  return summary .. " covered: " .. show_text(cause, f.reason, r, LONGEST_TEXT)
end

local function show_meta(tree, r)
  local from = r.at
  local kind = r:number("<B")
  if not KINDS[kind & 0x7f] then fail("unknown data type") end
  local meta = tree:add(f.kind, r:range(from), kind_text(kind))
  local flags = show_flags(meta, r, { "range", "every", "low known", "high known" })
  show(meta, f.burst, r, 1)
  show_text(meta, f.description, r, 4096)
  show_text(meta, f.unit, r, 4096)
  if flags & 1 ~= 0 then
    local low, high = r:number("<d"), r:number("<d")
    meta:add(f.range, r.tvb(r.at - 16, 16), (flags & 4 ~= 0 and tostring(low) or "?") .. " to " .. (flags & 8 ~= 0 and tostring(high) or "?"))
  end
  for _ = 1, r:count(1024) do show_text(meta, f.enum, r, 4096) end
end

messages[3] = function(tree, r, said)
  local id, last_path, time, metas, count, first = 0, "", 0, 0, 0, nil
  while r.at < r.size do
    local from = r.at
    id = id + r:zigzag()
    if id < 0 or id >= 0xffffffff then fail("id out of range") end
    local route, shared = r:varint(), r:varint()
    if route < 0 or route > 0xffff then fail("route out of range") end
    if shared > #last_path or shared < 0 then fail("shares more with the last path than that has") end
    local path = last_path:sub(1, shared) .. r:text(LONGEST_TEXT)
    last_path = path
    local item = tree:add(f.record, r:range(from), path)
    item:add(f.id, r:range(from), id)
    item:add(f.path, r:range(from), path)
    item:add(f.route, r:range(from), route & 0xffff)
    local meta = r:varint()
    item:add(f.meta, r.tvb(r.at - 1, 1), meta)
    if meta > metas then fail("metadata that did not come") end
    if meta == metas then
      show_meta(item, r)
      metas = metas + 1
    end
    show_flags(item, r, { "covered", "forced" })
    show(item, f.status, r, 4)
    local at = r.at
    time = time + r:zigzag()
    item:add(f.time, r:range(at), time_text(time))
    at = r.at
    local type_byte = r:number("<B")
    local text = value_text(r, type_byte)
    item:add(f.value, r:range(at), text)
    item:set_text(string.format("%s = %s (id %d, route %d)", path, text, id, route))
    item:set_len(r.at - from)
    said.paths[id] = path
    count, first = count + 1, first or path
  end
  return count .. (first and ", first " .. first or "")
end

messages[4] = function(tree, r, said)
  local count, id = r:varint(), 0
  if count < 0 or count > r.size then fail("more points than bytes") end
  for _ = 1, count do
    local from = r.at
    id = id + r:zigzag()
    if id < 0 or id >= 0xffffffff then fail("id out of range") end
    tree:add(f.id, r:range(from), id):append_text(said.paths[id] and " " .. said.paths[id] or "")
  end
  return tostring(count)
end

local ID_BYTES, TIME_FORMATS = { [0] = 0, 1, 3, 4 }, { [0] = false, "<I2", "<i4", "<i8" }

local function changes(tree, r, said)
  local id, time, last_status, type_byte, count, summary = -1, 0, 0, 11, 0, ""
  while r.at < r.size do
    local from = r.at
    local control = r:number("<B")
    local id_code, time_code, status_code, value_code = control & 3, control >> 2 & 3, control >> 4 & 3, control >> 6
    if status_code == 2 then fail("reserved status code") end
    if value_code == 3 then fail("reserved value code") end
    if id_code == 0 then
      id = id + 1
    elseif id_code == 1 then
      id = id + 2 + r:number("<B")
    else
      id = string.unpack("<I" .. ID_BYTES[id_code], r:bytes(ID_BYTES[id_code]))
    end
    id = id & 0xffffffff
    if TIME_FORMATS[time_code] then
      local number = r:number(TIME_FORMATS[time_code])
      time = time_code == 3 and number or time + number
    end
    local status = 0
    if status_code == 3 then
      last_status = r:number("<I4")
      status = last_status
    elseif status_code == 1 then
      status = last_status
    end
    local text = "null"
    if value_code == 1 then type_byte = r:number("<B") end
    if value_code == 1 and type_byte & 0x7f == 0 then fail("type null") end
    if value_code ~= 2 then text = value_text(r, type_byte) end
    local path = said.paths[id] or "#" .. id
    local line = string.format("%s = %s, %s", path, text, status_text(status))
    local range = r:range(from)
    local item = tree:add(f.record, range, path)
    item:set_text(line .. ", " .. time_text(time))
    item:add(f.id, range, id)
    if said.paths[id] then item:add(f.path, range, path) end
    item:add(f.kind, range, value_code == 2 and "Null" or kind_text(type_byte))
    item:add(f.value, range, text)
    item:add(f.status, range, status)
    item:add(f.time, range, time_text(time))
    count = count + 1
    if count == 1 then summary = line end
  end
  return count == 1 and summary or count .. ", first " .. summary
end
messages[5] = changes
messages[12] = changes

messages[6] = function(tree, r)
  local flags = show_flags(tree, r, { "synchronized", "caught up", "complete" })
  local seen = show_varint(tree, f.seen, r)
  show_varint(tree, f.defined, r)
  if flags & 2 ~= 0 then
    show(tree, f.digest, r, 8)
    show_varint(tree, f.points, r)
  end
  return "seen " .. seen .. ", " .. flag_text(flags, { "synchronized", "caught up", "complete" })
end

messages[7] = function(tree, r)
  show(tree, f.sent, r, 8)
  if string.unpack("<I8", r.tvb:raw(0, 8)) >> 62 ~= 0 then fail("sending time out of range") end
  show(tree, f.echo, r, 8)
  show(tree, f.held, r, 8)
  return time_text(show_time(tree, f.utc, r))
end

messages[8] = function(tree, r)
  if r.size > 128 * 1024 then fail("more than 128 KiB") end
  local count = r:count(4096)
  for _ = 1, count do
    local from = r.at
    local item = tree:add(f.record, r.tvb(from), "hop")
    local node = show_text(item, f.node, r, LONGEST_NAME)
    local link = show_text(item, f.link, r, LONGEST_NAME)
    show_text(item, f.peer, r, LONGEST_NAME)
    local state = r:number("<B")
    if not HOP_STATES[state & 0x7f] then fail("unknown state") end
    item:add(f.state, r.tvb(r.at - 1, 1), state)
    show_time(item, f.since, r)
    show_text(item, f.reason, r, LONGEST_TEXT)
    local at = r.at
    item:add(f.delay, r:range(at), duration_text(r:varint()))
    item:set_text(string.format("%s %s: %s%s", node, link, HOP_STATES[state & 0x7f], state < 0x80 and " (not heard)" or ""))
    item:set_len(r.at - from)
  end
  return tostring(count)
end

messages[9] = function(tree, r)
  show(tree, f.acknowledged, r, 8)
  return string.format("%u bytes", string.unpack("<I8", r.tvb:raw(0, 8)))
end

messages[10] = function(tree, r)
  show(tree, f.code, r, 2)
  local code = string.unpack("<I2", r.tvb:raw(0, 2))
  local text = show_text(tree, f.text, r, LONGEST_TEXT)
  local summary = (CLOSE_CODES[code] or tostring(code)) .. (text ~= "" and ": " .. text or "")
  if code ~= 0 and code ~= 7 then tree:add_proto_expert_info(closed, summary) end
  return summary
end

local function one_route(tree, r)
  show(tree, f.route, r, 2)
  return "route " .. string.unpack("<I2", r.tvb:raw(0, 2))
end
messages[11] = one_route
messages[14] = one_route

messages[15] = function(tree, r)
  local count, last = 0, -1
  while r.at < r.size do
    local item = tree:add(f.record, r.tvb(r.at, math.min(18, r.size - r.at)), "digest")
    show(item, f.route, r, 2)
    local route = string.unpack("<I2", r.tvb:raw(r.at - 2, 2))
    if route <= last then fail("routes do not ascend") end
    last = route
    item:set_text("Route " .. route)
    show(item, f.points, r, 8)
    show(item, f.digest, r, 8)
    count = count + 1
  end
  return count .. " routes"
end

messages[16] = function(tree, r)
  local summary = one_route(tree, r)
  local count = 0
  for bucket = 0, 1023 do
    local digest = r:number("<i8")
    if digest ~= 0 then
      tree:add_le(f.digest, r.tvb(r.at - 8, 8)):prepend_text("Bucket " .. bucket .. ": ")
      count = count + 1
    end
  end
  return summary .. ", " .. count .. " of 1024 not empty"
end

local function buckets(tree, r)
  local summary = one_route(tree, r)
  local count = 0
  for byte = 0, 127 do
    local bits = r:number("<B")
    for bit = 0, 7 do
      if bits & (1 << bit) ~= 0 then
        tree:add(f.bucket, r.tvb(r.at - 1, 1), byte * 8 + bit)
        count = count + 1
      end
    end
  end
  return summary .. ", " .. count .. " buckets"
end
messages[17] = buckets
messages[18] = buckets
messages[19] = function() return "" end

messages[20] = function(tree, r)
  local count = r:count(4096)
  for _ = 1, count do
    local from = r.at
    local name = r:text(LONGEST_NAME)
    local epoch = r:number("<I8")
    tree:add(f.stream, r:range(from), string.format("%s/%016x up to %u", name, epoch, r:varint()))
  end
  return count .. " streams"
end

-- What is behind the value of a change, and the metadata of a point, is not shown.
local JOURNAL_RECORDS = { [1] = "stream", [2] = "point", [3] = "change", [4] = "gap" }
messages[21] = function(tree, r)
  local counts, first = {}, nil
  while r.at < r.size do
    local from = r.at
    local kind = r:number("<B")
    local size = r:varint()
    local name = JOURNAL_RECORDS[kind] or fail("unknown kind of record")
    local stop = r.at + size
    if size < 0 or stop > r.size then fail("cut short") end
    local text
    if kind == 1 then
      local id = r:varint()
      text = string.format("stream %u is %s", id, r:text(LONGEST_NAME))
    elseif kind == 2 then
      local id, stream = r:varint(), r:varint()
      text = string.format("point %u of stream %u is %s", id, stream, r:text(4096))
    else
      local stream, sequence = r:varint(), r:varint()
      text = string.format("%s %u of stream %u", name, sequence, stream)
      if kind == 3 then
        text = text .. string.format(", point %u%s", r:varint(), r:number("<B") == 1 and ", it waited" or "")
      end
    end
    if r.at > stop then fail("a record longer than it says") end
    r:take(stop - r.at)
    tree:add(f.journal, r:range(from), text)
    counts[name] = (counts[name] or 0) + 1
    first = first or text
  end
  return string.format("%u changes, %u gaps", counts.change or 0, counts.gap or 0)
end

messages[22] = function(tree, r)
  local from = r.at
  local records = r:number("<I8")
  tree:add(f.journal, r:range(from), records .. " records")
  return records .. " records"
end

-- Frames ----------------------------------------------------------------------------------------------------------------

local DATA = { [2] = true, [3] = true, [4] = true, [5] = true, [6] = true, [12] = true, [15] = true, [16] = true, [18] = true, [21] = true }

-- Order is judged only on the first pass, when frames come in order, and kept for later ones.
local function out_of_place(said, kind, key, visited)
  if visited then return said.problems[key] end
  local problem
  if said.closed then
    problem = "after a close frame"
  elseif kind == 1 and said.hello then
    problem = "a second hello"
  elseif kind ~= 1 and kind ~= 10 and not said.hello and said.from_start then
    problem = "before the hello"
  elseif kind == 13 and said.begun then
    problem = "a second begin"
  elseif DATA[kind] and not said.begun and said.from_start then
    problem = "data before begin"
  end
  if kind == 1 then said.hello, said.from_start = true, true end
  if kind == 13 then said.begun = true end
  if kind == 10 then said.closed = true end
  said.problems[key] = problem
  return problem
end

local function dissect_frame(tvb, pinfo, root, said)
  local length, kind = tvb(0, 4):le_uint(), tvb(4, 1):uint()
  local name = TYPES[kind] or "type " .. kind
  local tree = root:add(sallyport, tvb(), "Sallyport link: " .. name)
  tree:add_le(f.length, tvb(0, 4))
  tree:add(f.type, tvb(4, 1))
  local problem = out_of_place(said, kind, pinfo.number .. "/" .. tvb:offset(), pinfo.visited)
  if problem then tree:add_proto_expert_info(violation, name .. " " .. problem) end
  if not messages[kind] then
    tree:add_proto_expert_info(malformed, "unknown frame type " .. kind)
    return name
  end
  local r = reader(length > 1 and tvb(5):tvb() or ByteArray.new():tvb("empty"))
  local ok, summary = pcall(messages[kind], tree, r, said)
  if ok and r.at < r.size then ok, summary = false, { what = (r.size - r.at) .. " bytes too many" } end
  if not ok then
    local what = type(summary) == "table" and summary.what or tostring(summary)
    tree:add_proto_expert_info(malformed, name .. ": " .. what)
    return name .. " (malformed: " .. what .. ")"
  end
  tree:append_text(summary ~= "" and ", " .. summary or "")
  return summary ~= "" and name .. " " .. summary or name
end

local function speaker(pinfo)
  local stream = stream_of()
  local key = stream and stream.value or 0
  streams[key] = streams[key] or {}
  local said = streams[key][pinfo.src_port]
  if not said then
    said = { paths = {}, problems = {} }
    streams[key][pinfo.src_port] = said
  end
  return said
end

function sallyport.init() streams = {} end

function sallyport.dissector(tvb, pinfo, root)
  pinfo.cols.protocol = "SALLYPORT"
  local said, at, infos = speaker(pinfo), 0, {}
  while at < tvb:len() do
    local left = tvb:len() - at
    if left < 5 then
      pinfo.desegment_offset = at
      pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
      break
    end
    local length = tvb(at, 4):le_uint()
    if length < 1 or length > (tvb(at + 4, 1):uint() == 1 and LONGEST_HELLO or LONGEST) then
      root:add(sallyport, tvb(at), "Sallyport link"):add_proto_expert_info(malformed, "frame of " .. length .. " bytes")
      infos[#infos + 1] = "malformed length"
      at = tvb:len()
      break
    end
    if left < 4 + length then
      pinfo.desegment_offset = at
      pinfo.desegment_len = 4 + length - left
      break
    end
    infos[#infos + 1] = dissect_frame(tvb(at, 4 + length):tvb(), pinfo, root, said)
    at = at + 4 + length
  end
  if #infos > 0 then
    pinfo.cols.info:set(table.concat(infos, "; ", 1, math.min(#infos, 4)) .. (#infos > 4 and "; … (" .. #infos .. ")" or ""))
  end
  return tvb:len()
end

-- A stream is a link when its first bytes are a hello; from then on all of it is.
local function recognise(tvb, pinfo, root)
  local stream = stream_of()
  local known = stream and streams[stream.value]
  if not known then
    if tvb:len() < 13 or tvb(4, 1):uint() ~= 1 or tvb:raw(5, 8) ~= MAGIC then return false end
  end
  sallyport.dissector(tvb, pinfo, root)
  return true
end
sallyport:register_heuristic("tls", recognise)
DissectorTable.get("tcp.port"):add_for_decode_as(sallyport)  -- for bytes that were never encrypted: test vectors

local registered = ""
function sallyport.prefs_changed()
  local ports = DissectorTable.get("tls.port")
  if registered ~= "" then ports:remove(registered, sallyport) end
  registered = sallyport.prefs.tls_port
  if registered ~= "" then ports:add(registered, sallyport) end
end
