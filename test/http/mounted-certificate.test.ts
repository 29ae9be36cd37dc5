import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createAuthority, type PemPair, signLeaf } from "../../src/controller/certificate-material.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { CertificateMount, type MountedCertificate } from "../../src/http/mounted-certificate.ts";
import { createLog } from "../../src/observe/log.ts";
import { REVIEWED_MS, SECRET } from "./support.ts";

let pairs: { readonly first: PemPair; readonly second: PemPair };
let directory: string;
let lines: string[];
let served: MountedCertificate[];
let mount: CertificateMount;

beforeAll(async () => {
  const authority = await createAuthority(REVIEWED_MS);
  const leaf = { names: ["localhost"], nowMs: REVIEWED_MS };
  pairs = { first: await signLeaf(authority, leaf), second: await signLeaf(authority, leaf) };
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "fairlead-mount-"));
  [lines, served] = [[], []];
  const { log } = createLog({ level: "warn", destination: { write: (line) => void lines.push(line) } });
  mount = new CertificateMount({ directory, log, onServed: (found) => served.push(found), intervalMs: 1 });
});
afterEach(() => {
  mount.stop();
  rmSync(directory, { recursive: true });
});

/** Each file at once, as the kubelet does it. */
function write(files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory, "new"), content);
    renameSync(join(directory, "new"), join(directory, name));
  }
}

const filesOf = ({ certPem, keyPem }: PemPair) => ({ "tls.crt": certPem, "tls.key": keyPem });

function told(problem: string): Promise<void> {
  return waitFor(problem, () => lines.some((line) => line.includes(problem)), { intervalMs: 1 });
}

test("serves the first whole pair, then each new one, and keeps what it serves while a pair is half written", async () => {
  const start = mount.start();
  await told("no such file");
  write({ ...filesOf(pairs.first), "tls.key": pairs.second.keyPem, "ca.crt": "CA", path: `${SECRET}\n` });
  await told("does not belong to tls.crt");
  write(filesOf(pairs.first));
  expect(await start).toMatchObject({ ...pairs.first, bundlePem: "CA", pathSecret: SECRET });
  write({ "tls.key": pairs.second.keyPem });
  await waitFor("the half", () => lines.filter((line) => line.includes("does not belong")).length === 2);
  write(filesOf(pairs.second));
  await waitFor("the second pair", () => served.length === 2);
  expect(served.map(({ certPem }) => certPem)).toEqual([pairs.first.certPem, pairs.second.certPem]);
  write({ "ca.crt": "CA2" });
  await waitFor("the bundle", () => served.length === 3);
  expect(lines.filter((line) => line.includes("does not belong"))).toHaveLength(2);
});

test("tells of another path, also where nothing else has changed", async () => {
  write({ ...filesOf(pairs.first), "ca.crt": "CA", path: SECRET });
  await mount.start();
  write({ path: "f".repeat(32) });
  await told("Found another path");
  expect(served).toHaveLength(1);
});
