// The same cryptography in another's hands (@noble/post-quantum). Prints one line for each command, hex in and out:
//   open SEED CIPHERTEXT        public key, then the secret
//   seal PUBLIC                 ciphertext, then the secret
//   verify PUBLIC MESSAGE SIGNATURE        true or false (ML-DSA-65)
import { XWing } from '@noble/post-quantum/hybrid.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';

const [command, ...hex] = process.argv.slice(2);
const [a, b, c] = hex.map((text) => new Uint8Array(Buffer.from(text, 'hex')));
const text = (bytes) => Buffer.from(bytes).toString('hex');

if (command === 'open') {
  const { publicKey, secretKey } = XWing.keygen(a);
  console.log(text(publicKey), text(XWing.decapsulate(b, secretKey)));
} else if (command === 'seal') {
  const { cipherText, sharedSecret } = XWing.encapsulate(a);
  console.log(text(cipherText), text(sharedSecret));
} else {
  console.log(ml_dsa65.verify(c, b, a));
}
