import { access, constants, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { buildBinary, progress } from "./build.ts";
import { downloadEnvtest, envtestDirectory, isInEnvtestArchive } from "./envtest.ts";
import { withLock } from "./lock.ts";
import { BINARY_NAMES, type BinaryName, type BinarySource, binarySource, cacheRoot } from "./versions.ts";

/**
 * Finds one binary: in the directory KUBEBUILDER_ASSETS, in the cache, in the official envtest archive, or builds
 * it with the Go toolchain, once on a machine. The PATH is never searched: its kubectl may be of any version.
 */
export async function resolveBinary(name: BinaryName): Promise<string> {
  return resolveSource(binarySource(name));
}

/** Finds or makes the binary of any source, as resolveBinary() does it. */
export async function resolveSource(source: BinarySource): Promise<string> {
  const find = () => findBinary(source);
  return findOrMake(source.name, find, async () => {
    if (isInEnvtestArchive(source.name)) await downloadEnvtest();
    return (await find()) ?? (await buildBinary(source));
  });
}

/** Finds what is in the cache, or makes it while no other process makes anything there. */
export async function findOrMake(
  name: string,
  find: () => Promise<string | undefined>,
  make: () => Promise<string>,
): Promise<string> {
  const known = await find();
  if (known !== undefined) return known;
  await mkdir(cacheRoot(), { recursive: true });
  const onWait = () => progress(`waiting for another process that prepares binaries, then for ${name}`);
  return withLock(join(cacheRoot(), "build.lock"), onWait, async () => (await find()) ?? (await make()));
}

/** Finds or builds every binary, one after the other because builds share most of their packages. */
export async function resolveAllBinaries(): Promise<Record<BinaryName, string>> {
  const paths: Partial<Record<BinaryName, string>> = {};
  for (const name of BINARY_NAMES) paths[name] = await resolveBinary(name);
  return paths as Record<BinaryName, string>;
}

async function findBinary(source: BinarySource): Promise<string | undefined> {
  const assets = process.env["KUBEBUILDER_ASSETS"];
  const directories = [...(assets ? [assets] : []), source.cacheDirectory];
  if (isInEnvtestArchive(source.name)) directories.push(envtestDirectory());
  return firstExecutable(directories.map((directory) => join(directory, source.name)));
}

/** The first of these files that exists and may be run. */
export async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}
