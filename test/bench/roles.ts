import {
  mutatingWebhookConfiguration,
  REGISTRATION_NAME,
  validatingWebhookConfiguration,
} from "../../src/core/admission/registration.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { KubernetesClient } from "../../src/k8s/client.ts";
import { Secrets } from "../../src/k8s/secrets.ts";
import { WebhookConfigurations } from "../../src/k8s/webhook-configurations.ts";
import { admissionPaths } from "../../src/roles/path-secret.ts";
import { kubectl } from "../cluster/support.ts";
import type { Child } from "./child.ts";
import {
  type Account,
  createServiceAccount,
  loggedLine,
  OWN_NAMESPACE,
  type Server,
  spawnFairlead,
  type StartOptions,
} from "./servers.ts";

/** The admission process, with the secret part of its paths. */
export interface AdmissionServer extends Server {
  readonly secret: string;
}

/** Fairlead in two processes, as the chart installs it. */
export interface Roles {
  readonly admission: AdmissionServer;
  /** The first one; see restartController(). */
  readonly controller: Child;
  readonly controllerAccount: Account;
  /** Every user of Fairlead, as the audit log names them. */
  readonly users: ReadonlySet<string>;
  /** Ends the controller and starts another with more flags; resolves when that one leads. */
  readonly restartController: (flags: readonly string[]) => Promise<Child>;
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

const CONTROLLER_FLAGS = [
  "--role=controller",
  "--certificates=self-managed",
  "--lease-duration=15s",
  "--lease-renew-deadline=10s",
  "--lease-retry-period=2s",
];

let started = 0;

/** Each process has a log file of its own: what one has said must not be taken for the word of the next. */
function uniqueName(role: string): string {
  started += 1;
  return `${role}-${started}`;
}

/** One controller leads, and admission is registered, when it resolves. */
export async function startRoles(start: StartOptions, client: KubernetesClient): Promise<Roles> {
  const { controlPlane, workspace } = start;
  await kubectl(controlPlane, ["create", "namespace", OWN_NAMESPACE]);
  const controllerAccount = await createServiceAccount(controlPlane, workspace, "fairlead-controller");
  const admissionAccount = await createServiceAccount(controlPlane, workspace, "fairlead-admission");
  const controllers: Child[] = [];
  const startController = async (flags: readonly string[]): Promise<Child> => {
    const name = uniqueName("controller");
    const child = spawnFairlead(start, { name, account: controllerAccount, flags: [...CONTROLLER_FLAGS, ...flags] });
    controllers.push(child);
    await whenLeading(client, child, name);
    return child;
  };
  const controller = await startController([]);
  const admission = await startAdmission(start, client, admissionAccount);
  return {
    admission,
    controller,
    controllerAccount,
    users: new Set([controllerAccount.user, admissionAccount.user]),
    async restartController(flags) {
      await controllers.at(-1)?.stop("SIGTERM");
      return startController(flags);
    },
    async stop(signal) {
      await admission.child.stop(signal);
      await controllers.at(-1)?.stop(signal);
    },
  };
}

async function whenLeading(client: KubernetesClient, child: Child, name: string): Promise<void> {
  await waitFor(`${name} to lead`, async () => {
    child.assertAlive();
    if (loggedLine(child.logPath, "serving") === undefined) return false;
    const leases: KubernetesObject[] = [];
    const path = `/apis/coordination.k8s.io/v1/namespaces/${OWN_NAMESPACE}/leases`;
    await client.list(path, { onPage: (items) => leases.push(...items) });
    const holders = leases.map(({ spec }) => (spec as { readonly holderIdentity?: string }).holderIdentity ?? "");
    return holders.some((holder) => holder.startsWith(name));
  });
}

/** Does what the kubelet and the chart do: mounts the two Secrets, and registers the webhooks. */
async function startAdmission(
  start: StartOptions,
  client: KubernetesClient,
  account: Account,
): Promise<AdmissionServer> {
  const { workspace } = start;
  const secrets = new Secrets(client, OWN_NAMESPACE);
  const files: Record<string, string> = {};
  await waitFor("the certificate of the controller", async () => {
    for (const name of ["fairlead-tls", "fairlead-path"]) Object.assign(files, (await secrets.read(name))?.data);
    return files["tls.crt"] !== undefined && files["path"] !== undefined;
  });
  const directory = workspace.directory(`certificates-${started}`);
  for (const [name, text] of Object.entries(files)) workspace.write(`certificates-${started}/${name}`, text);
  const flags = ["--role=admission", "--port=0", `--certificate-dir=${directory}`];
  const child = spawnFairlead(start, { name: uniqueName("admission"), account, flags });
  let port: number | undefined;
  await waitFor("admission to serve", () => {
    child.assertAlive();
    port = (loggedLine(child.logPath, "serving") as { readonly port: number } | undefined)?.port;
    return port !== undefined;
  });
  const secret = (files["path"] ?? "").trim();
  const caPem = files["ca.crt"] ?? "";
  const paths = admissionPaths(secret);
  const registration = {
    clientConfig: { url: `https://127.0.0.1:${port}` },
    paths,
    caBundle: Buffer.from(caPem).toString("base64"),
    fairleadNamespace: OWN_NAMESPACE,
  };
  const configurations = new WebhookConfigurations(client, REGISTRATION_NAME, paths);
  await configurations.register(mutatingWebhookConfiguration(registration));
  await configurations.register(validatingWebhookConfiguration(registration));
  return { name: "fairlead", child, port: port ?? 0, caPem, secret };
}
