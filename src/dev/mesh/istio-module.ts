import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { resolveSource } from "../control-plane/binaries.ts";
import { downloadModule, moduleFiles } from "../control-plane/crds.ts";
import { type BinarySource, cacheDirectory, requiredVersion } from "../control-plane/versions.ts";

const ISTIO_MODULE = "istio.io/istio";
const API_MODULE = "istio.io/api";
const MODULE_DIRECTORY = join(import.meta.dirname, "go");

/** Finds istiod, which Istio calls pilot-discovery, in the cache, or builds it once on a machine. */
export async function resolveIstiod(): Promise<string> {
  return resolveSource(istiodSource());
}

/** The CRDs of all kinds of Istio, in one file of the Go module that istiod is built from. */
export async function istioCrdPath(): Promise<string> {
  const directory = await moduleFiles(MODULE_DIRECTORY, ISTIO_MODULE);
  return join(directory, "manifests", "charts", "base", "files", "crd-all.gen.yaml");
}

/** Releases of Istio that are older than the istiod here, by their minor version, with the hash of their API's module. */
export const OLDER_ISTIO_RELEASES: ReadonlyMap<string, { readonly version: string; readonly sum: string }> = new Map([
  ["1.20", { version: "v1.20.0", sum: "h1:heE1eQoMsuZlwWOf7Xm8TKqKLNKVs11G/zMe5QyR1u4=" }],
  ["1.22", { version: "v1.22.0", sum: "h1:CdMUHgN/OfQK9ojj6lCjxlJSuUe0vD0ZAvoCcoBfn20=" }],
  ["1.25", { version: "v1.25.0", sum: "h1:UVQNFUAz4R06NagA+QpEzLmi4sw+m+UuMgD6sIyXawA=" }],
]);

/** The CRDs of these kinds as an older release has them, in YAML. */
export async function olderIstioCrds(minor: string, kinds: ReadonlySet<string>): Promise<string> {
  const release = OLDER_ISTIO_RELEASES.get(minor);
  if (release === undefined) throw new Error(`Cannot get the CRDs of Istio ${minor}: no release is known`);
  const module = `${API_MODULE}@${release.version}`;
  const { Dir: directory, Sum: sum } = await downloadModule(MODULE_DIRECTORY, module);
  if (sum !== release.sum) throw new Error(`Cannot use ${module}: found the hash ${sum}, wanted ${release.sum}`);
  const text = await readFile(join(directory, "kubernetes", "customresourcedefinitions.gen.yaml"), "utf8");
  const kindOf = (crd: string): string => /^ {4}kind: (\w+)$/m.exec(crd)?.[1] ?? "";
  return text
    .split(/^---$/m)
    .filter((crd) => kinds.has(kindOf(crd)))
    .join("---\n");
}

function istiodSource(): BinarySource {
  const version = requiredVersion(MODULE_DIRECTORY, ISTIO_MODULE);
  return {
    name: "pilot-discovery",
    version,
    moduleDirectory: MODULE_DIRECTORY,
    goPackage: `${ISTIO_MODULE}/pilot/cmd/pilot-discovery`,
    linkerFlags: "-s -w",
    cacheDirectory: cacheDirectory("istio", version),
    expectedTime: "6 minutes",
  };
}
