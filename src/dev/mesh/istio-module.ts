import { join } from "node:path";
import { resolveSource } from "../control-plane/binaries.ts";
import { moduleFiles } from "../control-plane/crds.ts";
import { type BinarySource, cacheDirectory, requiredVersion } from "../control-plane/versions.ts";

const ISTIO_MODULE = "istio.io/istio";
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
