import { access, constants, mkdir, readFile, rename } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { spawnSupervised } from "./process.ts";
import type { BinarySource } from "./versions.ts";
import { Workspace } from "./workspace.ts";

const PROGRESS_MS = 20_000;
const LIMIT_MS = 30 * 60_000;

/** Writes one line for whoever waits for a build or a download. */
export function progress(text: string): void {
  process.stderr.write(`control plane: ${text}\n`);
}

/** Builds a binary from its pinned Go module and moves it into the cache in one step. */
export async function buildBinary(source: BinarySource): Promise<string> {
  await requireGo(source);
  await mkdir(source.cacheDirectory, { recursive: true });
  const target = join(source.cacheDirectory, source.name);
  const workspace = await Workspace.create(".building-", source.cacheDirectory);
  try {
    const output = workspace.file(source.name);
    await runGoBuild(source, { output, logPath: workspace.file("build.log") });
    await rename(output, target);
    return target;
  } finally {
    await workspace.remove();
  }
}

async function runGoBuild(source: BinarySource, files: { output: string; logPath: string }): Promise<void> {
  const startMs = performance.now();
  const title = `building ${source.name} ${source.version} (about ${source.expectedTime}, once)`;
  const elapsed = () => `${Math.round((performance.now() - startMs) / 1000)} s`;
  progress(title);
  const build = spawnSupervised(["go", "build", "-ldflags", source.linkerFlags, "-o", files.output, source.goPackage], {
    logPath: files.logPath,
    cwd: source.moduleDirectory,
    env: goEnvironment(),
  });
  const reporter = setInterval(() => progress(`${title} … ${elapsed()}`), PROGRESS_MS);
  const limit = setTimeout(() => void build.stop(), LIMIT_MS);
  await build.exited.finally(() => {
    clearInterval(reporter);
    clearTimeout(limit);
  });
  if (build.outcome() !== 0) {
    const output = await readFile(files.logPath, "utf8");
    throw new Error(`Cannot build ${source.name} ${source.version}: go build ended with ${build.outcome()}\n${output}`);
  }
  progress(`built ${source.name} ${source.version} in ${elapsed()}`);
}

/** The variables that decide what is built, so that a workspace or flags of the user's own cannot change it. */
function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "-mod=readonly -trimpath -buildvcs=false" };
}

async function requireGo(source: BinarySource): Promise<void> {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const found = await access(join(directory, "go"), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return;
  }
  throw new Error(
    `Cannot build ${source.name} ${source.version}: the Go toolchain is not on the PATH; install Go 1.26 or newer, ` +
      `or set KUBEBUILDER_ASSETS to a directory that holds ${source.name}`,
  );
}
