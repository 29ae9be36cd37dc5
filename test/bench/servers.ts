import { copyFileSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, signLeaf } from "../../src/controller/certificate-material.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { runCommand } from "../../src/dev/control-plane/command.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Workspace } from "../../src/dev/control-plane/workspace.ts";
import { kubectl, ROOT } from "../cluster/support.ts";
import { Child } from "./child.ts";

/** A server that is measured. */
export interface Server {
  readonly name: "bare" | "fairlead";
  readonly child: Child;
  readonly port: number;
  readonly caPem: string;
}

const NAMESPACE = "fairlead";
/** Longer than any run. */
const TOKEN_LIFETIME = "1h";

/**
 * Both servers as JavaScript, as an image would hold them: run from TypeScript, each would carry Node's own compiler
 * (a WebAssembly module of tens of MiB) in its memory.
 */
export async function compile(workspace: Workspace): Promise<string> {
  const files = ["src/cli.ts", "test/bench/bare-server.ts", "test/bench/probe.ts"].map((file) => join(ROOT, file));
  const config = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: { noEmit: false, noCheck: true, types: [], rootDir: ROOT, outDir: workspace.file("dist") },
    files,
    include: [],
  };
  const project = workspace.write("tsconfig.json", JSON.stringify(config));
  symlinkSync(join(ROOT, "node_modules"), workspace.file("node_modules"));
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const home = { directory: workspace.path, kubeconfigPath: "" };
  const { code, stdout } = await runCommand([process.execPath, tsc, "-p", project], home);
  if (code !== 0) throw new Error(`Cannot compile the servers:\n${stdout}`);
  // Beside src, as in the repository: it says that these are modules, and of which version.
  copyFileSync(join(ROOT, "package.json"), workspace.file("dist/package.json"));
  return workspace.file("dist");
}

export interface StartOptions {
  readonly workspace: Workspace;
  readonly controlPlane: ControlPlane;
  /** From compile(). */
  readonly dist: string;
  /** Flags of node for Fairlead, such as `--cpu-prof`. */
  readonly nodeFlags: readonly string[];
}

export async function startBareServer({ workspace, dist, nodeFlags }: StartOptions): Promise<Server> {
  const nowMs = Date.now();
  const authority = await createAuthority(nowMs);
  const leaf = await signLeaf(authority, { names: ["localhost", "127.0.0.1"], nowMs });
  const env = {
    BENCH_CERT: workspace.write("bare.crt", leaf.certPem),
    BENCH_KEY: workspace.write("bare.key", leaf.keyPem),
  };
  const script = join(dist, "test/bench/bare-server.js");
  const args = [...nodeFlags, "--import", join(dist, "test/bench/probe.js"), script];
  const child = new Child({ args, env, logPath: workspace.file("bare.log") });
  const { port } = await child.receive<{ port: number }>();
  return { name: "bare", child, port, caPem: authority.certPem };
}

/** `fairlead serve` with the token of a service account, as in a pod, logging at info into a file. */
export async function startFairleadServer({ workspace, controlPlane, dist, nodeFlags }: StartOptions): Promise<Server> {
  const { hostname, port } = new URL(controlPlane.url);
  const env = {
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    BENCH_SERVICE_ACCOUNT_DIR: await serviceAccount(controlPlane, workspace),
  };
  const serve = ["serve", "--register", "--namespace", NAMESPACE, "--host", "127.0.0.1", "--port", "0"];
  const script = join(dist, "src/cli.js");
  const args = [
    ...nodeFlags,
    "--import",
    join(dist, "test/bench/probe.js"),
    script,
    ...serve,
    "--operations-port",
    "0",
  ];
  const child = new Child({ args, env, logPath: workspace.file("fairlead.log") });
  let admission: string | undefined;
  await waitFor("Fairlead to be ready", () => {
    child.assertAlive();
    admission = admissionUrlIn(child.logPath);
    return admission !== undefined;
  });
  const bundle = await kubectl(controlPlane, ["get", "mutatingwebhookconfiguration", "fairlead", "-o", CA_BUNDLE]);
  const caPem = Buffer.from(bundle, "base64").toString("utf8");
  return { name: "fairlead", child, port: Number(new URL(admission ?? "").port), caPem };
}

const CA_BUNDLE = "jsonpath={.webhooks[0].clientConfig.caBundle}";

/** The path of Fairlead's mutating door, with its secret. */
export async function fairleadSecret(controlPlane: ControlPlane): Promise<string> {
  const field = "jsonpath={.webhooks[0].clientConfig.url}";
  const url = await kubectl(controlPlane, ["get", "mutatingwebhookconfiguration", "fairlead", "-o", field]);
  return new URL(url).pathname.split("/").at(-1) ?? "";
}

/** What the kubelet would mount; the account may do everything, since rights are not what is measured. */
async function serviceAccount(controlPlane: ControlPlane, workspace: Workspace): Promise<string> {
  await kubectl(controlPlane, ["create", "namespace", NAMESPACE]);
  await kubectl(controlPlane, ["create", "serviceaccount", "fairlead", "-n", NAMESPACE]);
  const binding = ["--clusterrole=cluster-admin", `--serviceaccount=${NAMESPACE}:fairlead`];
  await kubectl(controlPlane, ["create", "clusterrolebinding", "fairlead", ...binding]);
  const request = ["create", "token", "fairlead", "-n", NAMESPACE, `--duration=${TOKEN_LIFETIME}`];
  const directory = workspace.directory("serviceaccount");
  workspace.write("serviceaccount/token", await kubectl(controlPlane, request));
  workspace.write("serviceaccount/ca.crt", controlPlane.caPem);
  return directory;
}

function admissionUrlIn(logPath: string): string | undefined {
  const line = readFileSync(logPath, "utf8")
    .split("\n")
    .find((text) => text.includes('"msg":"ready"'));
  return line && (JSON.parse(line) as { admission: string }).admission;
}
