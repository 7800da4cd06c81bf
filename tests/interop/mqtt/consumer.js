// A foreign consumer: subscribes with the npm client `mqtt` and prints each message as a line of JSON.
//   node consumer.js PORT 4|5 TOPIC
const mqtt = require('mqtt');

const [port, version, topic] = process.argv.slice(2);
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: Number(version), reconnectPeriod: 0 });
client.on('connect', () => client.subscribe(topic, { qos: 1 }, () => console.log('{"subscribed":true}')));
client.on('message', (name, payload, packet) =>
  console.log(JSON.stringify({ topic: name, payload: payload.toString(), qos: packet.qos, retain: packet.retain })));
client.on('error', (error) => { console.error(error.message); process.exit(1); });
client.on('close', () => process.exit(0));
