import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

const DEFAULT_TIMEOUT_MS = 60_000;

export interface CommandOptions {
  /** What the command reads from its standard input. */
  readonly input?: string;
  /** After this time the command is killed and its code is 137, as a shell would say. */
  readonly timeoutMs?: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the control plane's user: its home, caches and kubeconfig, and nothing of this machine's. */
export async function runCommand(
  command: readonly [string, ...string[]],
  home: { directory: string; kubeconfigPath: string },
  options: CommandOptions = {},
): Promise<CommandResult> {
  const [binary, ...args] = command;
  const env = { PATH: process.env["PATH"], HOME: home.directory, KUBECONFIG: home.kubeconfigPath };
  const child = spawn(binary, args, { env, stdio: ["pipe", "pipe", "pipe"] });
  const limit = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  // A command that ends without reading all its input is no error of ours.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  try {
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    return { code: child.exitCode ?? 137, stdout, stderr };
  } finally {
    clearTimeout(limit);
  }
}
