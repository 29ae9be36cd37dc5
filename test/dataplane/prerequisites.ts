import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** Starts a program in a network namespace of its own; the variable NAMESPACE_NODE names the program. */
export const NAMESPACE_LAUNCHER = join(import.meta.dirname, "in-namespace.sh");

const SKIP_HINT = "Set MESH=skip to leave the data-plane tests out; they then count as skipped.";

/** Says whether whoever runs the tests does without these. */
export function isMeshSkipped(): boolean {
  return process.env["MESH"] === "skip";
}

let obstacle: { readonly text: string | undefined } | undefined;

/** Why this machine cannot make a network namespace, with what to do about it; undefined when it can. */
export function namespaceObstacle(): string | undefined {
  obstacle ??= { text: findObstacle() };
  return obstacle.text;
}

function findObstacle(): string | undefined {
  if (process.platform !== "linux")
    return `Real proxies run on Linux only, and this is ${process.platform}. ${SKIP_HINT}`;
  const env = { ...process.env, NAMESPACE_NODE: process.execPath };
  const { status, stderr, error } = spawnSync(NAMESPACE_LAUNCHER, ["--version"], { env, encoding: "utf8" });
  if (status === 0) return undefined;
  const why = (error?.message ?? stderr).trim();
  return (
    `Cannot make a network namespace: ${why}. unshare (util-linux), ip (iproute2), and root or a kernel that allows ` +
    `user namespaces are needed. ${SKIP_HINT}`
  );
}

/** The text of an error that kept a tool from being made, with the way around it. */
export function toolObstacle(error: unknown): string {
  return `${error instanceof Error ? error.message : String(error)}\n${SKIP_HINT}`;
}
