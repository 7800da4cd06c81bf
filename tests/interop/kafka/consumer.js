// A foreign consumer: reads topics from the beginning with the npm client `kafkajs` and prints each message as a line of JSON.
//   node consumer.js BROKER TOPIC…
const { Kafka, logLevel } = require('kafkajs');

const [broker, ...topics] = process.argv.slice(2);
const kafka = new Kafka({ clientId: 'test', brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 100, initialRetryTime: 50, maxRetryTime: 500 } });
const consumer = kafka.consumer({ groupId: `test-${process.pid}`, sessionTimeout: 30000, maxWaitTimeInMs: 50 });
(async () => {
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      const headers = {};
      for (const [name, value] of Object.entries(message.headers)) headers[name] = value.toString();
      console.log(JSON.stringify({ topic, partition, offset: message.offset, key: message.key.toString(), value: message.value.toString(), headers }));
    },
  });
})().catch((error) => { console.error(error.message); process.exit(1); });
