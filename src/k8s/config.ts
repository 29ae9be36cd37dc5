import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { describeError } from "./ports.ts";

/** What one request needs beside the address. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** How to reach one API server. */
export interface Cluster {
  /** `https://10.96.0.1:443`, perhaps with a path prefix, no slash at the end. */
  readonly server: string;
  readonly ca?: string | Buffer;
  /** Name to check the server's certificate against, when it is not the host of `server`. */
  readonly serverName?: string;
  /** Accept any server certificate: only when the kubeconfig says `insecure-skip-tls-verify`. */
  readonly insecure?: boolean;
  /** Cheap to call for every request; sources that change are read again at most once a minute. */
  credentials(): Promise<Credentials>;
  /** Forget what is cached: called when the API server answers 401. */
  refresh(): void;
}

export interface LoadOptions {
  /** Path of a kubeconfig; absent: the service account of the pod. */
  readonly kubeconfig?: string | undefined;
  /** The environment of the process, handed in by the composition root; read only without a kubeconfig. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Where the kubelet mounts the token and the CA (Kubernetes documentation, "Accessing the API from a Pod"), unless
 * KUBERNETES_SERVICE_ACCOUNT_DIR names another place.
 */
const SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The kubelet replaces a bound token at 80 % of its life, ten minutes at the least; client-go reads it each minute too. */
const CREDENTIALS_MAX_AGE_MS = 60_000;

export async function loadCluster(options: LoadOptions): Promise<Cluster> {
  if (options.kubeconfig !== undefined) return loadKubeconfig(options.kubeconfig);
  const host = options.env?.["KUBERNETES_SERVICE_HOST"];
  const port = options.env?.["KUBERNETES_SERVICE_PORT"];
  if (!host || !port) {
    throw new Error(
      "Cannot find a cluster: no kubeconfig was given and KUBERNETES_SERVICE_HOST is not set; " +
        "outside a pod, give --kubeconfig or set KUBECONFIG",
    );
  }
  const directory = options.env?.["KUBERNETES_SERVICE_ACCOUNT_DIR"] || SERVICE_ACCOUNT_DIR;
  const read = async (): Promise<Credentials> => {
    const token = (await readFile(`${directory}/token`, "utf8")).trim();
    return { headers: { Authorization: `Bearer ${token}` } };
  };
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    ca: await readFile(`${directory}/ca.crt`),
    ...cached(read),
  };
}

/** Through client-node, loaded only here because it costs 85 MiB of RSS: it knows exec plugins and every odd field. */
async function loadKubeconfig(file: string): Promise<Cluster> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
  } catch (error) {
    // A parser shows the text around a mistake on the lines after the first, and that may be a key.
    const [problem] = describeError(error).split("\n");
    throw new Error(`Cannot use kubeconfig ${file}: ${problem}; give one readable file`, { cause: error });
  }
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) throw new Error(`Cannot use kubeconfig ${file}: its current context names no cluster`);
  if (cluster.proxyUrl) throw new Error(`Cannot use kubeconfig ${file}: proxy-url is not supported`);
  const resolve = async (): Promise<RequestOptions> => {
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    return options;
  };
  const first = await resolve();
  return {
    server: cluster.server.replace(/\/+$/, ""),
    ...(first.ca !== undefined && { ca: first.ca as Buffer }),
    ...(first.servername !== undefined && { serverName: first.servername }),
    ...(first.rejectUnauthorized === false && { insecure: true }),
    ...cached(async () => toCredentials(await resolve())),
  };
}

function toCredentials(options: RequestOptions): Credentials {
  const headers = { ...(options.headers as Record<string, string> | undefined) };
  if (options.auth) headers["Authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  return {
    headers,
    ...(options.cert !== undefined && { cert: options.cert as Buffer }),
    ...(options.key !== undefined && { key: options.key as Buffer }),
  };
}

function cached(read: () => Promise<Credentials>): Pick<Cluster, "credentials" | "refresh"> {
  let current: Promise<Credentials> | undefined;
  let readAt = 0;
  return {
    credentials: () => {
      if (current === undefined || Date.now() - readAt > CREDENTIALS_MAX_AGE_MS) {
        const attempt = read();
        readAt = Date.now();
        current = attempt;
        attempt.catch(() => {
          if (current === attempt) current = undefined;
        });
      }
      return current;
    },
    refresh: () => {
      current = undefined;
    },
  };
}
