import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export const BINARY_NAMES = ["etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "helm"] as const;
export type BinaryName = (typeof BINARY_NAMES)[number];

/** Where one binary comes from: a package of a Go module that is pinned by a go.mod in this repository. */
export interface BinarySource {
  readonly name: string;
  readonly version: string;
  readonly moduleDirectory: string;
  readonly goPackage: string;
  readonly linkerFlags: string;
  readonly cacheDirectory: string;
  /** Shown to whoever waits: measured on two cores with an empty build cache. */
  readonly expectedTime: string;
}

const GO_DIRECTORY = join(import.meta.dirname, "go");
const KUBERNETES = { folder: ".", module: "k8s.io/kubernetes", label: "kubernetes" };

const ORIGINS = {
  etcd: {
    folder: "etcd",
    module: "go.etcd.io/etcd/server/v3",
    label: "etcd",
    goPackage: "go.etcd.io/etcd/server/v3",
    time: "40 s",
  },
  "kube-apiserver": { ...KUBERNETES, goPackage: "k8s.io/kubernetes/cmd/kube-apiserver", time: "4 minutes" },
  kubectl: { ...KUBERNETES, goPackage: "k8s.io/kubernetes/cmd/kubectl", time: "1 minute" },
  "kube-controller-manager": {
    ...KUBERNETES,
    goPackage: "k8s.io/kubernetes/cmd/kube-controller-manager",
    time: "1 minute",
  },
  helm: {
    folder: "helm",
    module: "helm.sh/helm/v3",
    label: "helm",
    goPackage: "helm.sh/helm/v3/cmd/helm",
    time: "2 minutes",
  },
} satisfies Record<BinaryName, { folder: string; module: string; label: string; goPackage: string; time: string }>;

/** Describes a binary; the version in the cache path comes from go.mod, so that a new version is a new binary. */
export function binarySource(name: BinaryName): BinarySource {
  const origin = ORIGINS[name];
  const moduleDirectory = join(GO_DIRECTORY, origin.folder);
  const version = requiredVersion(moduleDirectory, origin.module);
  return {
    name,
    version,
    moduleDirectory,
    goPackage: origin.goPackage,
    linkerFlags: ["-s", "-w", ...stampedVariables(name, version).map((variable) => `-X ${variable}`)].join(" "),
    cacheDirectory: cacheDirectory(origin.label, version),
    expectedTime: origin.time,
  };
}

/** The version of Kubernetes that the whole control plane has, such as v1.36.3. */
export function kubernetesVersion(): string {
  return requiredVersion(join(GO_DIRECTORY, KUBERNETES.folder), KUBERNETES.module);
}

/** The directory under which every found or built binary is kept. */
export function cacheRoot(): string {
  const base = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(base, "fairlead", "control-plane");
}

/** Where the binaries of one version are kept. */
export function cacheDirectory(label: string, version: string): string {
  return join(cacheRoot(), `${label}-${version}-${process.platform}-${process.arch}`);
}

/** The folder of the go.mod that pins the Gateway API, whose CRDs are read from the module. */
export function gatewayApiModuleDirectory(): string {
  return join(GO_DIRECTORY, "gateway-api");
}

/** The version of a module that the go.mod in this directory requires. */
export function requiredVersion(moduleDirectory: string, module: string): string {
  const path = join(moduleDirectory, "go.mod");
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const words = line
      .replace(/^require\b/, "")
      .trim()
      .split(/\s+/);
    if (words[0] === module && words[1]?.startsWith("v")) return words[1];
  }
  throw new Error(`Cannot find the version of ${module}: "${path}" does not require it`);
}

/** A binary built from a module does not know its version; the release builds stamp it into these variables. */
function stampedVariables(name: BinaryName, version: string): string[] {
  const [major = "", minor = ""] = kubernetesVersion().slice(1).split(".");
  if (name === "etcd") return [];
  if (name === "helm") {
    const packages = ["helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"];
    const kubernetes = packages.flatMap((name) => [
      `${name}.k8sVersionMajor=${major}`,
      `${name}.k8sVersionMinor=${minor}`,
    ]);
    return [`helm.sh/helm/v3/internal/version.version=${version}`, ...kubernetes];
  }
  const prefix = "k8s.io/component-base/version";
  return [`${prefix}.gitVersion=${version}`, `${prefix}.gitMajor=${major}`, `${prefix}.gitMinor=${minor}`];
}
