import { copyFileSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, signLeaf } from "../../src/controller/certificate-material.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { runCommand } from "../../src/dev/control-plane/command.ts";
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

/** Fairlead's own namespace. */
export const OWN_NAMESPACE = "fairlead";
/** Longer than any run. */
const TOKEN_LIFETIME = "1h";

/**
 * Both servers as JavaScript, as an image would hold them: run from TypeScript, each would carry Node's own compiler
 * (a WebAssembly module of tens of MiB) in its memory.
 */
export async function compile(workspace: Workspace): Promise<string> {
  const entries = ["src/cli.ts", "test/bench/bare-server.ts", "test/bench/bare-client.ts", "test/bench/probe.ts"];
  const files = entries.map((file) => join(ROOT, file));
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
  /** Flags of node for both servers, such as `--cpu-prof`. */
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

/** The flags that the image gives to node, between its path and that of our own entry. */
function imageNodeFlags(): readonly string[] {
  const [, entry = "[]"] = /^ENTRYPOINT (\[.+\])$/m.exec(readFileSync(join(ROOT, "Dockerfile"), "utf8")) ?? [];
  const command = JSON.parse(entry) as readonly string[];
  if (!command.at(-1)?.endsWith("/cli.js"))
    throw new Error(`Found ENTRYPOINT ${entry} in the Dockerfile, wanted node and cli.js`);
  return command.slice(1, -1);
}

/**
 * `fairlead serve` with the flags of the image and the token of a service account, as in a pod, on free ports, logging
 * at info into a file.
 */
export function spawnFairlead(
  { workspace, controlPlane, dist, nodeFlags }: StartOptions,
  { name, account, flags }: { readonly name: string; readonly account: Account; readonly flags: readonly string[] },
): Child {
  const { hostname, port } = new URL(controlPlane.url);
  const env = {
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    KUBERNETES_SERVICE_ACCOUNT_DIR: account.directory,
    POD_NAME: name,
  };
  const serve = [
    "serve",
    `--namespace=${OWN_NAMESPACE}`,
    "--host=127.0.0.1",
    "--operations-port=0",
    "--log-level=info",
  ];
  const probe = ["--import", join(dist, "test/bench/probe.js")];
  const args = [...imageNodeFlags(), ...nodeFlags, ...probe, join(dist, "src/cli.js"), ...serve, ...flags];
  return new Child({ args, env, logPath: workspace.file(`${name}.log`) });
}

export interface Account {
  /** As the audit log names it. */
  readonly user: string;
  readonly token: string;
  /** What the kubelet would mount. */
  readonly directory: string;
}

/** The account may do everything, since rights are not what is measured. */
export async function createServiceAccount(
  controlPlane: ControlPlane,
  workspace: Workspace,
  name: string,
): Promise<Account> {
  const inNamespace = ["-n", OWN_NAMESPACE];
  await kubectl(controlPlane, ["create", "serviceaccount", name, ...inNamespace]);
  const binding = ["--clusterrole=cluster-admin", `--serviceaccount=${OWN_NAMESPACE}:${name}`];
  await kubectl(controlPlane, ["create", "clusterrolebinding", name, ...binding]);
  const request = ["create", "token", name, ...inNamespace, `--duration=${TOKEN_LIFETIME}`];
  const token = (await kubectl(controlPlane, request)).trim();
  const directory = workspace.directory(`account-${name}`);
  workspace.write(`account-${name}/token`, token);
  workspace.write(`account-${name}/ca.crt`, controlPlane.caPem);
  return { user: `system:serviceaccount:${OWN_NAMESPACE}:${name}`, token, directory };
}

/** The last line with this message in the log of a server. */
export function loggedLine(logPath: string, message: string): unknown {
  const line = readFileSync(logPath, "utf8")
    .split("\n")
    .findLast((text) => text.includes(`"msg":"${message}"`));
  return line && JSON.parse(line);
}
