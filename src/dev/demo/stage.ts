import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { KubernetesObject } from "../../core/kubernetes.ts";
import { type Fairlead, startFairlead } from "../../main.ts";
import { createLog } from "../../observe/log.ts";
import type { CommandResult } from "../control-plane/command.ts";
import { type ControlPlane, startControlPlane } from "../control-plane/control-plane.ts";
import { gatewayApiCrdPaths, linkerdCrdPaths } from "../control-plane/crds.ts";
import { kubernetesVersion } from "../control-plane/versions.ts";
import { localServeConfig } from "../local-serve-config.ts";
import { waitFor } from "../control-plane/wait.ts";
import { screen, type Settings } from "./screen.ts";

/** The root of the repository; the demo runs there, so that kubectl's words name files as the reader knows them. */
export const ROOT = join(import.meta.dirname, "..", "..", "..");

const FAIRLEAD_CRDS = join(ROOT, "webhook-config", "crds.yaml");

/** kubectl's copy of the manifest: not a setting of anybody. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** Far more than it takes; a step that needs longer has gone wrong. */
export const PATIENCE = { timeoutMs: 20_000 };

/** The story did not come true. */
export class StoryError extends Error {
  override readonly name = "StoryError";
}

/** Fails the demo, with what was wanted. */
export function expectThat(holds: boolean, wanted: string, found = ""): void {
  if (!holds) throw new StoryError(found === "" ? `Wanted ${wanted}` : `Wanted ${wanted}; found ${found}`);
}

/** A real control plane and a Fairlead that is registered there. */
export class Stage {
  #controlPlane: ControlPlane | undefined;
  #fairlead: Fairlead | undefined;
  #logPath: string | undefined;

  get isUp(): boolean {
    return this.#fairlead !== undefined;
  }

  get logPath(): string | undefined {
    return this.#logPath;
  }

  get controlPlane(): ControlPlane {
    return present(this.#controlPlane);
  }

  get fairlead(): Fairlead {
    return present(this.#fairlead);
  }

  async setUp(): Promise<void> {
    const startMs = performance.now();
    const crdPaths = [...(await gatewayApiCrdPaths()), ...(await linkerdCrdPaths()), FAIRLEAD_CRDS];
    const controlPlane = await startControlPlane({ crdPaths });
    this.#controlPlane = controlPlane;
    const upMs = performance.now();
    screen.started(`etcd, kube-apiserver and kube-controller-manager ${kubernetesVersion()}`, upMs - startMs);
    const logPath = join(controlPlane.directory, "fairlead.log");
    this.#logPath = logPath;
    const { log } = createLog({ level: "info", destination: { write: (line) => appendFileSync(logPath, line) } });
    this.#fairlead = await startFairlead(
      { ...localServeConfig(controlPlane.kubeconfigPath), drain: { serveMs: 0, inFlightMs: 1_000 } },
      log,
    );
    screen.started("Fairlead, registered as their admission webhook", performance.now() - upMs);
    screen.note(`log of Fairlead: ${logPath}`);
  }

  async tearDown(): Promise<void> {
    try {
      await this.#fairlead?.stop();
    } finally {
      await this.#controlPlane?.stop();
    }
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("The stage is not set up");
  return part;
}

/** Runs kubectl, perhaps with something on its standard input, and shows command, output and time. */
export async function kubectl(stage: Stage, args: readonly string[], input?: string): Promise<CommandResult> {
  const startMs = performance.now();
  const result = await stage.controlPlane.kubectl(args, input === undefined ? {} : { input });
  screen.command(args, result, performance.now() - startMs);
  return result;
}

/** As {@link kubectl}, for a command that must succeed. */
export async function kubectlOk(stage: Stage, args: readonly string[], input?: string): Promise<CommandResult> {
  const result = await kubectl(stage, args, input);
  expectThat(result.code === 0, `kubectl ${args[0]} to succeed`, `exit code ${result.code}`);
  return result;
}

/** As {@link kubectl}, once it prints what is waited for; only that is shown. */
export async function kubectlWhen(
  stage: Stage,
  args: readonly string[],
  holds: (stdout: string) => boolean,
): Promise<void> {
  const isThere = async (): Promise<boolean> => holds((await stage.controlPlane.kubectl(args)).stdout);
  await waitFor(`kubectl ${args.join(" ")} to show it`, isThere, PATIENCE);
  await kubectlOk(stage, args);
}

/** The object that the API server has now. */
export async function live(stage: Stage, service: string, namespace: string): Promise<KubernetesObject> {
  const { code, stdout, stderr } = await stage.controlPlane.kubectl([
    "get",
    "service",
    service,
    "-n",
    namespace,
    "-o",
    "json",
  ]);
  expectThat(code === 0, `Service ${namespace}/${service} to exist`, stderr.trim());
  return JSON.parse(stdout) as KubernetesObject;
}

/** The object that a file of examples/ holds. */
export function manifest(path: string): KubernetesObject {
  return parse(readFileSync(join(ROOT, path), "utf8")) as KubernetesObject;
}

/** Annotations and labels, as they are compared and shown. */
export function settingsOf({ metadata }: KubernetesObject): Settings {
  const { [LAST_APPLIED]: _, ...annotations } = metadata?.annotations ?? {};
  const labels = Object.entries(metadata?.labels ?? {}).map(([name, value]) => [`label ${name}`, value]);
  return { ...annotations, ...Object.fromEntries(labels) };
}
