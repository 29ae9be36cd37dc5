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
  const source = binarySource(name);
  const known = await findBinary(source);
  if (known !== undefined) return known;
  await mkdir(cacheRoot(), { recursive: true });
  const onWait = () => progress(`waiting for another process that prepares binaries, then for ${name}`);
  return withLock(join(cacheRoot(), "build.lock"), onWait, async () => {
    const madeMeanwhile = await findBinary(source);
    if (madeMeanwhile !== undefined) return madeMeanwhile;
    if (isInEnvtestArchive(name)) await downloadEnvtest();
    return (await findBinary(source)) ?? (await buildBinary(source));
  });
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
  for (const directory of directories) {
    const path = join(directory, source.name);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}
