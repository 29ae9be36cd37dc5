import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

/**
 * The shell becomes the program (same pid, so signals and exit codes are the program's own) after it has left a
 * watchdog in its process group. The watchdog reads a pipe that only the parent holds: when the parent is gone,
 * by whatever signal, the pipe closes and the whole group is killed.
 */
const WATCHDOG_SCRIPT = `
exec 3<&0 0</dev/null
( read -r _ <&3; kill -s KILL 0 ) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
`;

const LOG_TAIL_LINES = 20;

export interface SupervisedOptions {
  readonly logPath: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** A child process that cannot outlive this one. */
export interface Supervised {
  readonly pid: number;
  /** Resolves when the program has ended and its process group is killed. */
  readonly exited: Promise<void>;
  /** The exit code or signal, or undefined while the program runs. */
  outcome(): number | NodeJS.Signals | undefined;
  /** The last lines of what the program wrote. */
  logTail(): string;
  /** Asks with SIGTERM and kills once the grace is over; without a grace it kills at once. */
  stop(graceMs?: number): Promise<void>;
}

/** Starts a program whose output goes to a log file and whose life ends with the life of this process. */
export function spawnSupervised(command: readonly string[], options: SupervisedOptions): Supervised {
  const log = openSync(options.logPath, "a");
  const child = spawn("/bin/sh", ["-c", WATCHDOG_SCRIPT, "sh", ...command], {
    detached: true,
    stdio: ["pipe", log, log],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`Cannot start ${command[0]}: /bin/sh did not start`);
  child.stdin?.on("error", () => {});
  let outcome: number | NodeJS.Signals | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      outcome = code ?? signal ?? "SIGKILL";
      signalQuietly(-pid, "SIGKILL");
      child.stdin?.destroy();
      resolve();
    });
  });
  return {
    pid,
    exited,
    outcome: () => outcome,
    logTail: () => tail(options.logPath),
    stop: async (graceMs = 0) => {
      if (outcome === undefined) signalQuietly(pid, graceMs > 0 ? "SIGTERM" : "SIGKILL");
      const killer = setTimeout(() => signalQuietly(-pid, "SIGKILL"), graceMs);
      await exited.finally(() => clearTimeout(killer));
    },
  };
}

/** Signals a process, or a group by its negative id; that it has ended already is no error. */
function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function tail(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
}
