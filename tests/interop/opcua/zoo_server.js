// A foreign OPC UA server (node-opcua) with one of everything, for opcua_interop_test.cpp.
//
//   node zoo_server.js '{"port": 4840, "folder": "/tmp/x", "tags": 0, "limits": false, "secure": false, "users": false,
//                        "extraNamespaces": [], "withoutZoo": false}'
//
// Prints "ready" when it listens. Reads commands from standard input, one a line, and answers each with a line "done":
//   count N MS     the variable Counter takes the values 1 to N, one every MS milliseconds
//   set NAME JSON  a Double of the folder Live
//   add NAME / delete NAME   a Double in the folder Live
"use strict";
const path = require("path");
const readline = require("readline");
const {
  AttributeIds, DataType, DataValue, LocalizedText, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, QualifiedName,
  Range, SecurityPolicy, StatusCodes, Variant, VariantArrayType, coerceInt64, coerceNodeId, coerceUInt64, nodesets,
  UserTokenType, StatusCode, DiagnosticInfo, coerceExpandedNodeId,
} = require("node-opcua");

const options = Object.assign(
  {port: 4840, folder: ".", tags: 0, limits: false, secure: false, users: false, extraNamespaces: [], withoutZoo: false},
  JSON.parse(process.argv[2] || "{}"));
const sourceTime = new Date("2026-01-02T03:04:05.678Z");

function server() {
  const manager = name => new OPCUACertificateManager(
    {rootFolder: path.join(options.folder, name), automaticallyAcceptUnknownCertificate: true});
  const secure = options.secure
    ? {securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep,
                          SecurityPolicy.Aes256_Sha256_RsaPss],
       securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt]}
    : {securityPolicies: [SecurityPolicy.None], securityModes: [MessageSecurityMode.None]};
  const operationLimits = options.limits
    ? {maxNodesPerRead: 7, maxNodesPerBrowse: 3, maxMonitoredItemsPerCall: 5, maxNodesPerWrite: 5}
    : {};
  return new OPCUAServer({
    port: options.port,
    hostname: "127.0.0.1",
    alternateHostname: ["127.0.0.1"],
    nodeset_filename: [nodesets.standard],
    serverInfo: {applicationUri: "urn:sallyport:zoo-server", applicationName: {text: "zoo"}},
    serverCertificateManager: manager("pki"),
    userCertificateManager: manager("user-pki"),
    allowAnonymous: !options.users,
    userManager: {isValidUser: (name, password) => name === "keeper" && password === "bananas"},
    serverCapabilities: Object.assign(
      {operationLimits, maxSessions: 20},
      options.limits ? {maxBrowseContinuationPoints: 2, maxMonitoredItemsPerSubscription: 25, maxSubscriptionsPerSession: 20} : {}),
    ...secure,
  });
}

const scalars = {
  Boolean: [DataType.Boolean, true], SByte: [DataType.SByte, -128], Byte: [DataType.Byte, 255],
  Int16: [DataType.Int16, -32768], UInt16: [DataType.UInt16, 65535], Int32: [DataType.Int32, -2147483648],
  UInt32: [DataType.UInt32, 4294967295], Int64: [DataType.Int64, coerceInt64("-9223372036854775808")],
  UInt64: [DataType.UInt64, coerceUInt64("18446744073709551615")], Float: [DataType.Float, 1.5],
  Double: [DataType.Double, 3.141592653589793], String: [DataType.String, "Grüße aus dem Zoo"],
  DateTime: [DataType.DateTime, new Date("2026-11-23T02:40:17.123Z")],
  Guid: [DataType.Guid, "09087E75-8E5E-499B-954F-F2A9603DB28A"], ByteString: [DataType.ByteString, Buffer.from([0, 1, 254, 255])],
  XmlElement: [DataType.XmlElement, "<zoo/>"], StatusCode: [DataType.StatusCode, StatusCodes.BadNodeIdUnknown],
  LocalizedText: [DataType.LocalizedText, new LocalizedText({locale: "de", text: "Affe"})],
};

const statuses = {
  Good: StatusCodes.Good,
  GoodLocalOverride: StatusCodes.GoodLocalOverride,
  UncertainLastUsable: StatusCodes.UncertainLastUsableValue,
  UncertainHighLimited: StatusCode.makeStatusCode(StatusCodes.UncertainEngineeringUnitsExceeded, "LimitHigh"),
  BadSensorFailure: StatusCodes.BadSensorFailure,
  BadNotConnected: StatusCodes.BadNotConnected,
};

const names = ["a/b", "100%", "Ünïcödé 机", "a+b#c*d", "$dollar", " ", "%2F", "with.dot", "x~2", "x", "x"];

function build(addressSpace, ns) {
  const folder = (parent, name) => ns.addFolder(parent, {browseName: name, nodeId: `s=${parent.nodeId.value}/${name}`});
  const zoo = ns.addFolder(addressSpace.rootFolder.objects, {browseName: "Zoo", nodeId: "s=Zoo"});
  const variable = (parent, name, dataType, more) => ns.addVariable(
    {componentOf: parent, browseName: name, nodeId: `s=${parent.nodeId.value}/${name}`, dataType, ...more});
  const fixed = (parent, name, dataType, variant, status = StatusCodes.Good, more = {}) => {
    const made = variable(parent, name, dataType, more);
    made.setValueFromSource(variant, status, sourceTime);
    return made;
  };

  const scalarFolder = folder(zoo, "Scalars");
  for (const [name, [dataType, value]] of Object.entries(scalars)) fixed(scalarFolder, name, dataType, {dataType, arrayType: VariantArrayType.Scalar, value});
  fixed(scalarFolder, "NodeId", DataType.NodeId, {dataType: DataType.NodeId, value: coerceNodeId(`ns=${ns.index};s=Zoo`)});
  fixed(scalarFolder, "ExpandedNodeId", DataType.ExpandedNodeId, {dataType: DataType.ExpandedNodeId, value: coerceExpandedNodeId("i=85")});
  fixed(scalarFolder, "QualifiedName", DataType.QualifiedName,
        {dataType: DataType.QualifiedName, value: new QualifiedName({name: "Monkey", namespaceIndex: ns.index})});
  fixed(scalarFolder, "Structure", "Range", {dataType: DataType.ExtensionObject, value: new Range({low: -1, high: 7})});

  const arrays = folder(zoo, "Arrays");
  const array = (name, dataType, value, dimensions) => fixed(
    arrays, name, dataType,
    dimensions ? {dataType, arrayType: VariantArrayType.Matrix, dimensions, value} : {dataType, arrayType: VariantArrayType.Array, value},
    StatusCodes.Good, {valueRank: dimensions ? dimensions.length : 1, arrayDimensions: dimensions || null});
  array("Doubles", DataType.Double, new Float64Array([1.5, 2.5, 3.5]));
  array("Strings", DataType.String, ["ape", "", "Bär"]);
  array("Empty", DataType.Int32, new Int32Array(0));
  array("Matrix", DataType.Int32, new Int32Array([1, 2, 3, 4, 5, 6]), [2, 3]);
  array("Variants", DataType.Variant, [new Variant({dataType: DataType.Double, value: 1.25}), new Variant({dataType: DataType.String, value: "v"})]);

  const statusFolder = folder(zoo, "Statuses");
  for (const [name, status] of Object.entries(statuses)) fixed(statusFolder, name, DataType.Double, {dataType: DataType.Double, value: 42}, status);

  const times = folder(zoo, "Times");
  const timed = (name, more) => {
    const made = variable(times, name, DataType.Double);
    made.setValueFromSource({dataType: DataType.Double, value: 1}, StatusCodes.Good, sourceTime);
    Object.assign(made.$dataValue, more);
  };
  timed("Picoseconds", {sourcePicoseconds: 12300});
  timed("Ancient", {sourceTimestamp: new Date("1650-01-01T00:00:00Z")});

  const items = folder(zoo, "Items");
  ns.addAnalogDataItem({
    componentOf: items, browseName: "Temperature", nodeId: "s=Zoo/Items/Temperature", description: "of the monkey house", dataType: "Double",
    engineeringUnitsRange: {low: -50, high: 50}, engineeringUnits: require("node-opcua").standardUnits.degree_celsius,
    value: {dataType: DataType.Double, value: 21.5},
  });
  ns.addMultiStateDiscrete({componentOf: items, browseName: "Mode", nodeId: "s=Zoo/Items/Mode", enumStrings: ["Open", "Feeding", "Closed"], value: 1});
  ns.addMultiStateValueDiscrete({componentOf: items, browseName: "Level", nodeId: "s=Zoo/Items/Level",
                                 enumValues: [{displayName: "Low", value: 1}, {displayName: "High", value: 3}], value: 3, dataType: "Int32"});
  ns.addTwoStateDiscrete({componentOf: items, browseName: "Gate", nodeId: "s=Zoo/Items/Gate", trueState: "open", falseState: "shut", value: true});
  fixed(items, "State", "ServerState", {dataType: DataType.Int32, value: 1});  // enumeration whose texts stand at its data type

  const nasty = folder(zoo, "Names");
  names.forEach((name, i) => {
    const made = ns.addVariable({componentOf: nasty, browseName: name, nodeId: `s=Name${i}`, dataType: DataType.Int32});
    made.setValueFromSource({dataType: DataType.Int32, value: i}, StatusCodes.Good, sourceTime);
  });

  // A cycle: Loop organizes Zoo again. And a way down that is too long for a path.
  const loop = folder(zoo, "Loop");
  loop.addReference({referenceType: "Organizes", nodeId: zoo.nodeId});
  let deep = folder(zoo, "Deep");
  for (let i = 0; i < 20; ++i) deep = folder(deep, `L${i}`);
  fixed(deep, "Bottom", DataType.Int32, {dataType: DataType.Int32, value: 0});

  const live = folder(zoo, "Live");
  const counter = variable(live, "Counter", DataType.UInt32, {minimumSamplingInterval: 10});
  counter.setValueFromSource({dataType: DataType.UInt32, value: 0});
  const unreadable = variable(live, "Unreadable", DataType.Double, {accessLevel: "CurrentWrite", userAccessLevel: "CurrentWrite"});
  void unreadable;

  if (options.tags > 0) {
    const tags = folder(zoo, "Tags");
    for (let i = 1; i <= options.tags; ++i) {
      const name = `T${String(i).padStart(5, "0")}`;
      const made = ns.addVariable({componentOf: tags, browseName: name, nodeId: `s=${name}`, dataType: DataType.Double});
      made.setValueFromSource({dataType: DataType.Double, value: i + 0.5}, StatusCodes.Good, sourceTime);
    }
  }
  return {live, counter, fixed};
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

async function command(ns, zoo, line) {
  const [what, name, json] = line.split(" ");
  if (what === "count") {
    for (let i = 1; i <= Number(name); ++i) {
      zoo.counter.setValueFromSource({dataType: DataType.UInt32, value: i});
      await pause(Number(json));
    }
  } else if (what === "add") {
    zoo.fixed(zoo.live, name, DataType.Double, {dataType: DataType.Double, value: 0});
  } else if (what === "delete") {
    ns.deleteNode(ns.addressSpace.findNode(`ns=${ns.index};s=Zoo/Live/${name}`));
  } else if (what === "set") {
    ns.addressSpace.findNode(`ns=${ns.index};s=Zoo/Live/${name}`).setValueFromSource({dataType: DataType.Double, value: Number(json)});
  }
  console.log("done");
}

(async () => {
  const made = server();
  await made.initialize();
  const addressSpace = made.engine.addressSpace;
  for (const uri of options.extraNamespaces) addressSpace.registerNamespace(uri);
  const ns = addressSpace.registerNamespace("urn:sallyport:zoo");
  const zoo = options.withoutZoo ? null : build(addressSpace, ns);
  await made.start();
  const lines = readline.createInterface({input: process.stdin});
  lines.on("line", line => command(ns, zoo, line));
  lines.on("close", () => process.exit(0));  // the test is gone
  console.log("ready");
})().catch(error => {
  console.error(error);
  process.exit(1);
});
void AttributeIds, DataValue, UserTokenType, DiagnosticInfo;
