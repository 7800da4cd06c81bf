// The live page: reads /api/v1/stream and shows it. Text from the plant reaches the page through textContent only.
'use strict';

const kSilence = 3000;      // ms without a byte from the node: what is shown is no longer known to be true
const kMaxPoints = 20000;   // held in memory
const kMaxRows = 500;       // drawn
const kRedraw = 250;        // ms

const $ = (id) => document.getElementById(id);
const points = new Map();   // path → point
let token = sessionStorage.getItem('token') || '';
let current = null;         // AbortController of the running stream
let lastHeard = 0;
let ready = false;
let changed = true;
let overflow = false;
let live = false;           // heard from the node within kSilence

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function request(path, signal) {
  const headers = token ? {Authorization: 'Bearer ' + token} : {};
  return fetch(path, {headers, signal, cache: 'no-store'});
}

function notice(text) {
  $('notice').textContent = text;
  $('notice').hidden = !text;
}

async function problemOf(response) {
  try {
    const problem = await response.json();
    return problem.detail + (problem.hint ? ': ' + problem.hint : '');
  } catch {
    return 'HTTP ' + response.status;
  }
}

// --- The stream ------------------------------------------------------------------------------------------------------

function onEvent(event, data) {
  if (event === 'ready') {
    ready = true;
  } else if (event === 'removed') {
    points.delete(JSON.parse(data).path);
  } else if (data) {
    const point = JSON.parse(data);
    if (points.has(point.path) || points.size < kMaxPoints) points.set(point.path, point);
    else overflow = true;
  }
  changed = true;
}

async function readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', event = '', data = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    lastHeard = performance.now();
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        onEvent(event, data);
        event = data = '';
      } else if (line.startsWith('data: ')) {
        data += line.slice(6);
      } else if (line.startsWith('event: ')) {
        event = line.slice(7);
      }
    }
  }
}

function streamPath() {
  const query = new URLSearchParams();
  for (const pattern of $('match').value.trim().split(/\s+/)) if (pattern) query.append('match', pattern);
  return '/api/v1/stream?' + query;
}

// Returns whether trying again without the user makes sense.
async function follow(signal) {
  const response = await request(streamPath(), signal);
  $('login').hidden = response.status !== 401;
  if (!response.ok) {
    notice(await problemOf(response));
    return response.status >= 500;
  }
  notice('');
  points.clear();
  ready = overflow = false;
  lastHeard = performance.now();
  await readEvents(response.body);
  return true;
}

async function run() {
  if (current) current.abort();
  const mine = current = new AbortController();
  for (let pause = 250; current === mine; pause = Math.min(pause * 2, 4000)) {
    const begun = performance.now();
    try {
      if (!await follow(mine.signal)) break;
    } catch {
      // Shown by the silence; the node may come back.
    }
    lastHeard = 0;
    if (performance.now() - begun > 5000) pause = 250;
    await new Promise((go) => setTimeout(go, pause * (0.5 + Math.random())));
  }
}

// --- The table -------------------------------------------------------------------------------------------------------

function valueText(value) {
  if (value === null) return '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function causeText(cause) {
  return `${cause.node} ▸ ${cause.link}: ${cause.what} since ${cause.since.slice(0, 19).replace('T', ' ')}`;
}

function row(point) {
  // Nothing is good that has not been confirmed lately.
  const tr = element('tr', live ? point.quality : 'unknown');
  tr.append(element('td', 'path', point.path), element('td', 'value', valueText(point.value).slice(0, 300)),
            element('td', '', point.type));
  const told = point.status_name || point.quality;
  const quality = element('td', 'quality', live ? told : `no contact (was ${told})`);
  if (point.cause) quality.append(element('small', '', causeText(point.cause)));
  tr.append(quality, element('td', 'time', point.timestamp.slice(0, 23).replace('T', ' ')), element('td', 'origin', point.origin));
  return tr;
}

function drawCounts() {
  const counts = live ? {good: 0, uncertain: 0, bad: 0} : {unknown: points.size};
  if (live) for (const point of points.values()) ++counts[point.quality];
  $('counts').replaceChildren(...Object.entries(counts).map(([name, count]) => element('li', name, `${count} ${name}`)));
}

function drawRows() {
  const text = $('text').value.toLowerCase();
  const unwell = $('unwell').checked;
  const shown = [...points.values()].filter((point) => (!unwell || point.quality !== 'good') && point.path.toLowerCase().includes(text));
  shown.sort((a, b) => (a.path < b.path ? -1 : 1));
  $('rows').replaceChildren(...shown.slice(0, kMaxRows).map(row));
  let more = ready ? '' : 'reading …';
  if (shown.length > kMaxRows) more = `and ${shown.length - kMaxRows} more; narrow the pattern or the text`;
  if (overflow) more = `more than ${kMaxPoints} points; narrow the pattern`;
  $('more').textContent = shown.length || !ready ? more : 'no point matches';
}

function draw() {
  const heard = lastHeard !== 0 && performance.now() - lastHeard < kSilence;
  changed = changed || heard !== live;
  live = heard;
  document.body.classList.toggle('stale', !live);
  $('stream').className = 'chip ' + (live ? 'live' : 'off');
  $('stream').textContent = live ? 'live' : 'no contact with the node: values are not current';
  if (!changed) return;
  changed = false;
  drawCounts();
  drawRows();
}

// --- Links -----------------------------------------------------------------------------------------------------------

function linkItem(link) {
  const item = element('li', link.state === 'up' ? 'good' : 'bad');
  item.append(element('strong', '', `${link.name || link.link} ▸ ${link.peer}: ${link.state}`));
  if (link.node) item.append(element('small', '', `seen by ${link.node}`));
  if (link.state !== 'up' && link.reason) item.append(element('span', '', link.reason));
  if (link.since) item.append(element('small', '', `since ${link.since.slice(0, 19).replace('T', ' ')}`));
  if (link.group) item.append(element('small', '', link.group));
  if (link.hops && link.hops.length) {
    const hops = element('ul');
    hops.append(...link.hops.map(linkItem));
    item.append(hops);
  }
  return item;
}

function connectorItem(kind, connector) {
  const item = element('li', connector.state === 'up' ? 'good' : 'bad');
  item.append(element('strong', '', `${kind} ${connector.name}: ${connector.state}`));
  if (connector.reason) item.append(element('span', '', connector.reason));
  return item;
}

async function drawNode() {
  try {
    const [status, links] = await Promise.all([request('/api/v1/status'), request('/api/v1/links')]);
    if (!status.ok || !links.ok) return;
    const node = await status.json(), answer = await links.json();
    $('node').textContent = node.node || '';
    document.title = (node.node ? node.node + ' – ' : '') + 'sallyport';
    const list = Array.isArray(answer) ? answer : answer.links || [];
    $('links').replaceChildren(...(list.length ? list.map(linkItem) : [element('li', '', 'none')]));
    const connectors = [...(node.sources || []).map((source) => connectorItem('source', source)),
                        ...(node.sinks || []).map((sink) => connectorItem('sink', sink))];
    $('connectors').replaceChildren(...(connectors.length ? connectors : [element('li', '', 'none')]));
  } catch {
    // The stream says so.
  }
}

// --- Begin -----------------------------------------------------------------------------------------------------------

function begin() {
  $('filter').addEventListener('submit', (event) => {
    event.preventDefault();
    history.replaceState(null, '', '#' + encodeURIComponent($('match').value));
    run();
  });
  $('text').addEventListener('input', () => { changed = true; });
  $('unwell').addEventListener('change', () => { changed = true; });
  $('login').addEventListener('submit', (event) => {
    event.preventDefault();
    token = $('token').value.trim();
    sessionStorage.setItem('token', token);
    run();
    drawNode();
  });
  if (location.hash.length > 1) $('match').value = decodeURIComponent(location.hash.slice(1));
  setInterval(draw, kRedraw);
  setInterval(drawNode, 1000);
  run();
  drawNode();
}
begin();
