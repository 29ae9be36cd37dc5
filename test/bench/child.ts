import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import type { Question, Usage } from "./probe.ts";

export interface ChildOptions {
  /** Becomes Node with these arguments; Node itself unless told. */
  readonly program?: string;
  readonly args: readonly string[];
  /** Where standard output and error go. */
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
}

const LOG_TAIL_LENGTH = 2_000;

/** A Node process with a channel to us. It ends with the channel, so it cannot outlive this process. */
export class Child {
  readonly #process: ChildProcess;
  readonly #logPath: string;
  #failure: Error | undefined;

  constructor({ program = process.execPath, args, logPath, env = {} }: ChildOptions) {
    const log = openSync(logPath, "a");
    this.#logPath = logPath;
    // Nothing of this shell's Kubernetes or Node settings may reach the server that is measured.
    this.#process = spawn(program, args, {
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
      stdio: ["ignore", log, log, "ipc"],
    });
    this.#process.once("exit", (code, signal) => {
      const tail = readFileSync(logPath, "utf8").slice(-LOG_TAIL_LENGTH);
      this.#failure = new Error(`A child ended with ${code ?? signal}: node ${args.join(" ")}\n${tail}`);
    });
  }

  get logPath(): string {
    return this.#logPath;
  }

  /** Throws once the process has ended. */
  assertAlive(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  send(message: object | string): void {
    this.assertAlive();
    this.#process.send(message);
  }

  /** The next message; the processes here answer one question at a time. */
  async receive<Message>(): Promise<Message> {
    this.assertAlive();
    const over = new AbortController();
    const ended = once(this.#process, "exit", { signal: over.signal }).then(() => {
      throw this.#failure ?? new Error("A child ended while it was asked");
    });
    try {
      const [message] = (await Promise.race([once(this.#process, "message", { signal: over.signal }), ended])) as [
        Message,
      ];
      return message;
    } finally {
      ended.catch(() => undefined);
      over.abort();
    }
  }

  async ask(question: Question): Promise<Usage> {
    const answer = this.receive<Usage>();
    this.send(question);
    return answer;
  }

  /** Holds the process still, and its watches with it, without ending anything. */
  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** SIGTERM writes a CPU profile where one was asked for. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#failure !== undefined) return;
    const exited = once(this.#process, "exit");
    this.#process.kill(signal);
    await exited;
  }
}
