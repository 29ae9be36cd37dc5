/** Writes a CA and a serving pair for development beside this file (git-ignored); see README.md. */
import { writeFileSync } from "node:fs";
import { createAuthority, signLeaf } from "../src/controller/certificate-material.ts";

/** This machine under the names by which a local API server (or one in a container) reaches it. */
const NAMES = ["localhost", "127.0.0.1", "::1", "host.docker.internal"];
/** Keys are for their owner only. */
const KEY_MODE = 0o600;
const CERTIFICATE_MODE = 0o644;

const nowMs = Date.now();
const authority = await createAuthority(nowMs);
const leaf = await signLeaf(authority, { names: NAMES, nowMs });
const files = [
  { name: "ca.pem", text: authority.certPem, mode: CERTIFICATE_MODE },
  { name: "ca-key.pem", text: authority.keyPem, mode: KEY_MODE },
  { name: "tls.pem", text: leaf.certPem, mode: CERTIFICATE_MODE },
  { name: "tls-key.pem", text: leaf.keyPem, mode: KEY_MODE },
];
for (const { name, text, mode } of files) {
  writeFileSync(new URL(name, import.meta.url), text, { mode });
  process.stdout.write(`certs/${name}\n`);
}
