import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { parseMeshVersion, parsePeriod } from "../config.ts";
import { remainingCommands, stillRunning } from "../core/uninstall-advice.ts";
import { connectUninstall, type Uninstall, type UninstallConfig } from "../uninstall.ts";
import { UsageError } from "../usage-error.ts";
import { renderUninstall, type UninstallFormat } from "./output-uninstall.ts";

/** The flags of `fairlead uninstall`, as commander hands them over. */
export interface UninstallFlags {
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly output: UninstallFormat;
  readonly meshVersion?: string;
  readonly timeout: string;
}

const EXIT_LEFT = 1;

/** Takes Fairlead back from a cluster. Exit status 1 where something is left. */
export async function uninstall(flags: UninstallFlags): Promise<void> {
  const config = configOf(flags);
  const { dryRun = false, yes = false } = flags;
  if (!dryRun && !yes && !process.stdin.isTTY) {
    throw new UsageError(
      "Cannot ask before writing: standard input is no terminal; look at --dry-run first, then give --yes",
    );
  }
  const { server, uninstall, close } = await connectUninstall(config);
  try {
    await refuseWhileRunning(uninstall, flags);
    if (dryRun || (!yes && !(await isConfirmed(uninstall, server)))) {
      if (dryRun) await report(uninstall, flags, "plan");
      else process.exitCode = EXIT_LEFT;
      return;
    }
    await report(uninstall, flags, "run");
  } finally {
    close();
  }
}

async function report(uninstall: Uninstall, { output }: UninstallFlags, what: "plan" | "run"): Promise<void> {
  const results = await uninstall[what]();
  process.stdout.write(renderUninstall(results, output));
  if (results.some(({ result }) => result === "left")) process.exitCode = EXIT_LEFT;
  const commands = remainingCommands(await uninstall.remaining());
  if (commands.length === 0) return;
  // Beside the table, so that standard output is what was done and nothing else.
  process.stderr.write(`\nLeft to you, once nothing of Fairlead is left above:\n  ${commands.join("\n  ")}\n`);
}

/** What runs writes again what is taken back. */
async function refuseWhileRunning(uninstall: Uninstall, { dryRun, force, namespace }: UninstallFlags): Promise<void> {
  const running = stillRunning(await uninstall.signs());
  if (running.length === 0) return;
  const found = `Fairlead still runs and would write again: found ${running.join(", ")}`;
  const fix = `kubectl scale deployment -n ${namespace} fairlead-admission fairlead-controller --replicas=0`;
  if (!dryRun && !force) throw new Error(`${found}; end it first, for example: ${fix}`);
  process.stderr.write(`Warning: ${found}\n`);
}

async function isConfirmed(uninstall: Uninstall, server: string): Promise<boolean> {
  const planned = await uninstall.plan();
  process.stderr.write(renderUninstall(planned, "table"));
  if (planned.length === 0) return true;
  if (await confirmed(`\nTake this back from ${server}? [y/N] `, process.stdin, process.stderr)) return true;
  process.stderr.write("Nothing was changed.\n");
  return false;
}

/** No, too, where the terminal is closed or somebody interrupts. */
export function confirmed(question: string, input: Readable, output: Writable): Promise<boolean> {
  const terminal = createInterface({ input, output });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  terminal.once("close", () => resolve(false));
  terminal.question(question, (answer) => {
    resolve(/^y(?:es)?$/i.test(answer.trim()));
    terminal.close();
  });
  return promise;
}

function configOf(flags: UninstallFlags): UninstallConfig {
  return {
    // An empty variable counts as none, as kubectl has it.
    kubeconfig: flags.kubeconfig ?? (process.env["KUBECONFIG"] || undefined),
    env: process.env,
    namespace: flags.namespace,
    meshVersion: parseMeshVersion(flags.meshVersion),
    timeoutMs: parsePeriod("--timeout", flags.timeout),
  };
}
