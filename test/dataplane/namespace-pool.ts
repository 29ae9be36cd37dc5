import { ForksPoolWorker, type PoolRunnerInitializer } from "vitest/node";
import { isMeshSkipped, NAMESPACE_LAUNCHER, namespaceObstacle } from "./prerequisites.ts";

const NAME = "network-namespace";

/**
 * Runs each test file in a network namespace of its own: what is forked is a script that makes the namespace and then
 * becomes Node. So ports and addresses are free for the taking, no traffic can leave, and the namespace ends with the
 * processes in it.
 */
class NamespaceWorker extends ForksPoolWorker {
  override readonly name = NAME;

  override async start(): Promise<void> {
    // Without a namespace the tests themselves say what is missing, or are skipped.
    if (isMeshSkipped() || namespaceObstacle() !== undefined) return super.start();
    const node = process.execPath;
    this.env = { ...this.env, NAMESPACE_NODE: node };
    // fork() runs process.execPath, for which vitest has no option. It forks before it first gives way to others.
    process.execPath = NAMESPACE_LAUNCHER;
    let started: Promise<void>;
    try {
      started = super.start();
    } finally {
      process.execPath = node;
    }
    await started;
  }
}

export const namespacePool: PoolRunnerInitializer = {
  name: NAME,
  createPoolWorker: (options) => new NamespaceWorker(options),
};
