import type { Reporter, TestModule } from "vitest/node";

/** Prints the counts of the whole run as one plain line, the last one, for whoever reads the log by machine. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) {
        const { state } = test.result();
        if (state !== "pending") counts[state] += 1;
      }
      // A file that cannot be loaded has no tests.
      if (module.state() === "failed" && !tests.some((test) => test.result().state === "failed")) counts.failed += 1;
    }
    process.on("exit", () => {
      const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
      process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
    });
  }
}
