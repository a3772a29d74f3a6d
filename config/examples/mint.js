const { createHmac } = require('node:crypto');
const { domainToASCII } = require('node:url');

/** The return path of a message to recipient. Write quotes in an address only where it needs them. */
function mint(keyId, keyHex, recipient, domain, stream = 0) {
  const digest = (label, content) =>
    createHmac('sha256', Buffer.from(keyHex, 'hex')).update(label + '\0').update(content).digest();
  const at = recipient.lastIndexOf('@');
  const host = domainToASCII(recipient.slice(at + 1));
  if (at < 1 || !host) throw new Error(`no address: ${recipient}`);
  const lower = (text) => text.replace(/[^\u03f4\u2126\u212a\u212b]+/g, (letters) => letters.toLowerCase());
  const form = lower(recipient.slice(0, at)) + '@' + host;
  const head = Buffer.alloc(6);
  head.writeUInt8(16 | keyId, 0);
  head.writeUInt16BE(Math.floor(Date.now() / 86400000), 1);
  head.writeUIntBE(stream, 3, 3);
  const signed = Buffer.concat([head, digest('dsnd-rcpt', form).subarray(0, 6)]);
  const token = Buffer.concat([signed, digest('dsnd-token', signed).subarray(0, 8)]);
  const bits = [...token].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  const base32 = bits.replace(/.{5}/g, (five) => 'abcdefghijklmnopqrstuvwxyz234567'[parseInt(five, 2)]);
  return `b-${base32}@${domain}`;
}

module.exports = { mint };
