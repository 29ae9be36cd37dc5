import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { z } from "zod";
import { progress } from "./build.ts";
import { type BinaryName, cacheRoot, kubernetesVersion } from "./versions.ts";

const OFFICIAL_INDEX = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml";
const ARCHIVED: ReadonlySet<string> = new Set<BinaryName>(["etcd", "kube-apiserver", "kubectl"]);
const ANSWER_LIMIT_MS = 3_000;
const DOWNLOAD_LIMIT_MS = 5 * 60_000;
const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

const Archive = z.object({ hash: z.string().regex(/^[0-9a-f]{128}$/), selfLink: z.url() });
const Index = z.object({ releases: z.record(z.string(), z.record(z.string(), Archive)) });
type Archive = z.infer<typeof Archive>;

let attempt: Promise<void> | undefined;

/** Says whether the official archive of controller-runtime's envtest holds this binary. */
export function isInEnvtestArchive(name: string): boolean {
  return ARCHIVED.has(name);
}

/** Where the archive's binaries are kept. An archive exists for some patch versions only, hence the minor version. */
export function envtestDirectory(): string {
  return join(cacheRoot(), `envtest-${minorVersion()}-${process.platform}-${process.arch}`);
}

/**
 * Downloads the official archive into the cache, once per process and only where the network answers within
 * seconds; a machine without it builds instead. FAIRLEAD_ENVTEST=off skips it, FAIRLEAD_ENVTEST_INDEX names a mirror.
 */
export async function downloadEnvtest(): Promise<void> {
  if (process.env["FAIRLEAD_ENVTEST"] === "off") return;
  attempt ??= download().catch((error: unknown) => {
    progress(`no envtest archive (${error instanceof Error ? error.message : String(error)}), so it is built instead`);
  });
  await attempt;
}

async function download(): Promise<void> {
  const index = process.env["FAIRLEAD_ENVTEST_INDEX"] || OFFICIAL_INDEX;
  const archive = newestArchive(Index.parse(parse((await fetchBytes(index)).toString("utf8"))));
  progress(`downloading ${archive.selfLink}`);
  const bytes = await fetchBytes(archive.selfLink);
  const hash = createHash("sha512").update(bytes).digest("hex");
  if (hash !== archive.hash) throw new Error(`the archive's SHA-512 is ${hash}, the index says ${archive.hash}`);
  await unpack(bytes);
}

async function unpack(bytes: Buffer): Promise<void> {
  await mkdir(cacheRoot(), { recursive: true });
  const unfinished = await mkdtemp(`${envtestDirectory()}.`);
  try {
    const path = join(unfinished, "archive.tar.gz");
    await writeFile(path, bytes);
    await promisify(execFile)("tar", ["-xzf", path, "-C", unfinished, "--strip-components=2"]);
    await rm(path);
    await rename(unfinished, envtestDirectory());
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

function newestArchive(index: z.infer<typeof Index>): Archive {
  const patch = (version: string) => Number(version.split(".")[2]);
  const versions = Object.keys(index.releases).filter((version) => /^v\d+\.\d+\.\d+$/.test(version));
  const matching = versions.filter((version) => version.startsWith(`${minorVersion()}.`));
  const newest = matching.toSorted((a, b) => patch(b) - patch(a))[0];
  if (newest === undefined) throw new Error(`none is published for ${minorVersion()}`);
  const name = `envtest-${newest}-${process.platform}-${GO_ARCHITECTURES[process.arch]}.tar.gz`;
  const archive = index.releases[newest]?.[name];
  if (archive === undefined) throw new Error(`${name} is not published`);
  return archive;
}

/** Fails fast while nothing answers, and leaves an answering server the time that a large body needs. */
async function fetchBytes(url: string): Promise<Buffer> {
  const abort = new AbortController();
  const answerLimit = setTimeout(() => abort.abort(new Error("the network does not answer")), ANSWER_LIMIT_MS);
  const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(DOWNLOAD_LIMIT_MS)]);
  try {
    const response = await fetch(url, { signal });
    clearTimeout(answerLimit);
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } finally {
    clearTimeout(answerLimit);
  }
}

function minorVersion(): string {
  return kubernetesVersion().split(".").slice(0, 2).join(".");
}
