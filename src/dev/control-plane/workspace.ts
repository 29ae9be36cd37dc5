import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Removes the directory once the pipe from the parent closes: on purpose at the end, or because the parent died.
 * In the latter case the processes that write into it die in the same moment, hence the few further tries.
 */
const JANITOR_SCRIPT = `
read -r _
tries=0
until rm -rf -- "$1" 2>/dev/null && [ ! -e "$1" ] || [ "$tries" -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
`;

/** A temporary directory that is gone when it is removed, and also when this process is killed. */
export class Workspace {
  readonly path: string;
  readonly #janitor;

  private constructor(path: string) {
    this.path = path;
    this.#janitor = spawn("/bin/sh", ["-c", JANITOR_SCRIPT, "sh", path], {
      detached: true,
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore"],
    });
  }

  static async create(prefix: string, parent = tmpdir()): Promise<Workspace> {
    return new Workspace(await mkdtemp(join(parent, prefix)));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Writes a file that only this user can read, and returns its path. */
  write(name: string, text: string): string {
    const path = this.file(name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  directory(name: string): string {
    const path = this.file(name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  async remove(): Promise<void> {
    if (this.#janitor.exitCode !== null || this.#janitor.signalCode !== null) return;
    const removed = once(this.#janitor, "exit");
    this.#janitor.stdin.end();
    await removed;
  }
}
