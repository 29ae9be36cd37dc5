import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import type { CommandResult } from "./command.ts";
import { gatewayApiModuleDirectory } from "./versions.ts";

const GATEWAY_API_MODULE = "sigs.k8s.io/gateway-api";
const FIXTURE_DIRECTORY = join(import.meta.dirname, "..", "..", "..", "test", "fixtures", "crds");
const GATEWAY_API_ROUTES = ["httproutes", "grpcroutes"];

/** CRDs of the Gateway API's standard channel, read from the Go module that carries them; its routes unless told. */
export async function gatewayApiCrdPaths(plurals: readonly string[] = GATEWAY_API_ROUTES): Promise<string[]> {
  const directory = await moduleFiles(gatewayApiModuleDirectory(), GATEWAY_API_MODULE);
  const standard = join(directory, "config", "crd", "standard");
  return plurals.map((plural) => join(standard, `gateway.networking.k8s.io_${plural}.yaml`));
}

/** The directory with the files of a module, which the go.mod in the other directory requires. */
export async function moduleFiles(moduleDirectory: string, module: string): Promise<string> {
  return (await downloadModule(moduleDirectory, module)).Dir;
}

const DownloadedModule = z.object({ Dir: z.string(), Sum: z.string() });

/** What Go says of a module: where its files are, and their hash. With `@VERSION` it is that one, whatever go.mod says. */
export async function downloadModule(
  moduleDirectory: string,
  module: string,
): Promise<z.infer<typeof DownloadedModule>> {
  try {
    const { stdout } = await promisify(execFile)("go", ["mod", "download", "-json", module], {
      cwd: moduleDirectory,
      env: { ...process.env, GOWORK: "off", GOFLAGS: "-mod=readonly" },
    });
    return DownloadedModule.parse(JSON.parse(stdout));
  } catch (error) {
    const hint =
      (error as NodeJS.ErrnoException).code === "ENOENT" ? "install Go 1.26 or newer" : (error as Error).message;
    throw new Error(`Cannot get CRDs from the Go module ${module}: ${hint}`, { cause: error });
  }
}

/** Our own CRDs that stand for Linkerd's ServiceProfile and for those of its kinds of policy that Fairlead knows. */
export function linkerdCrdPaths(): Promise<string[]> {
  return fixtures("linkerd-");
}

/** Our own minimal CRDs that stand for Istio's VirtualService and DestinationRule. */
export function istioCrdPaths(): Promise<string[]> {
  return fixtures("istio-");
}

async function fixtures(prefix: string): Promise<string[]> {
  const names = await readdir(FIXTURE_DIRECTORY);
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(FIXTURE_DIRECTORY, name));
}

interface KubectlRunner {
  kubectl(args: readonly string[]): Promise<CommandResult>;
}

/** Applies CRDs and waits until the API server serves them. */
export async function installCrds(runner: KubectlRunner, paths: readonly string[]): Promise<void> {
  const files = paths.flatMap((path) => ["--filename", path]);
  const steps = [
    // Server-side, because a large CRD does not fit into the annotation of a client-side apply.
    ["apply", "--server-side", ...files],
    ["wait", "--for=condition=Established", "--timeout=30s", ...files],
  ];
  for (const step of steps) {
    const { code, stderr } = await runner.kubectl(step);
    if (code !== 0) throw new Error(`Cannot install CRDs: kubectl ${step[0]} ended with ${code}\n${stderr}`);
  }
}
