// verify.mjs TOOLS BUNDLE TRUSTED_ROOT PUBLIC_KEY FILE: checks a bundle with @sigstore/verify (a bare key, one log entry) and that FILE is its subject.
import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [tools, bundlePath, rootPath, keyPath, filePath] = process.argv.slice(2);
const load = createRequire(join(tools, 'package.json'));
const { bundleFromJSON } = load('@sigstore/bundle');
const { TrustedRoot } = load('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = load('@sigstore/verify');

const publicKey = createPublicKey(readFileSync(keyPath));
const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(rootPath)));
const trust = toTrustMaterial(root, () => ({ publicKey, validFor: () => true }));
const bundle = bundleFromJSON(JSON.parse(readFileSync(bundlePath)));
new Verifier(trust, { tlogThreshold: 1, ctlogThreshold: 0, tsaThreshold: 0 }).verify(toSignedEntity(bundle));
const statement = JSON.parse(bundle.content.dsseEnvelope.payload);
const digest = createHash('sha256').update(readFileSync(filePath)).digest('hex');
if (!statement.subject.some((one) => one.digest.sha256 === digest)) throw new Error('the file is not a subject');
console.log('OK');
