import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { namespacePool } from "./test/dataplane/namespace-pool.ts";

/** The first run on a machine builds the control plane's binaries (about seven minutes on two cores). */
const BUILD_TIMEOUT_MS = 40 * 60_000;

/**
 * What the processes have that tests start. With Node's compile cache the CLI takes 0.27 s of CPU to start and not 0.65;
 * a garbage collector of Go that waits until memory has grown fivefold takes a fifth off what kube-apiserver needs.
 */
const PROCESS_ENVIRONMENT = {
  NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules", ".cache", "node"),
  GOGC: "400",
};

export default defineConfig({
  test: {
    env: PROCESS_ENVIRONMENT,
    reporters: ["default", "./test/closing-line.ts"],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/dev/**"],
      reporter: ["text-summary", "json-summary"],
      reportsDirectory: "coverage",
      thresholds: { lines: 90 },
    },
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**", "test/dataplane/**"],
          testTimeout: 60_000,
          // Loading the modules anew for each file would take two fifths of the CPU; what they hold are caches of pure functions.
          isolate: false,
          // Vitest leaves one core free unless told: of the two that the smallest machine has, it would use one.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: BUILD_TIMEOUT_MS,
          fileParallelism: true,
          // One more than the cores of the smallest machine: these tests wait a quarter of their time.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "dataplane",
          include: ["test/dataplane/**/*.test.ts"],
          globalSetup: "test/dataplane/global-setup.ts",
          pool: namespacePool,
          testTimeout: 120_000,
          hookTimeout: BUILD_TIMEOUT_MS,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
