import { type ApiServerOptions, apiServerCommand } from "./arguments.ts";
import type { Certificate } from "./certificates.ts";
import { answersOk, launch } from "./component.ts";
import { renderKubeconfig } from "./kubeconfig.ts";
import { freePort } from "./ports.ts";
import type { Supervised } from "./process.ts";
import type { Workspace } from "./workspace.ts";

/** An open watch keeps a kube-apiserver alive for up to a minute after SIGTERM; a test does not wait for that. */
const STOP_GRACE_MS = 2_000;

export interface ApiServerContext {
  readonly index: number;
  readonly workspace: Workspace;
  readonly caPem: string;
  readonly admin: Certificate;
  readonly settings: Omit<ApiServerOptions, "port">;
}

/** One kube-apiserver. It keeps its port, and so its URL and kubeconfig, over restarts. */
export class ApiServer {
  readonly kubeconfigPath: string;
  readonly logPath: string;
  readonly #context: ApiServerContext;
  #port: number | undefined;
  #child: Supervised | undefined;

  constructor(context: ApiServerContext) {
    this.#context = context;
    this.kubeconfigPath = context.workspace.file(`kubeconfig-${context.index}`);
    this.logPath = context.workspace.file(`kube-apiserver-${context.index}.log`);
  }

  get url(): string {
    if (this.#port === undefined) throw new Error("Cannot tell the URL of an API server that was never started");
    return `https://127.0.0.1:${this.#port}`;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.outcome() === undefined;
  }

  /** Starts the server and waits until /readyz answers; does nothing while it runs. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    const { index, settings, workspace, caPem, admin } = this.#context;
    const keepsPort = this.#port !== undefined;
    this.#child = await launch({
      name: `kube-apiserver ${index}`,
      logPath: this.logPath,
      command: async () => {
        if (!keepsPort) this.#port = await freePort();
        return apiServerCommand({ ...settings, port: Number(this.#port) });
      },
      isReady: () => answersOk(`${this.url}/readyz`, { caPem, ...admin }),
    });
    if (!keepsPort) workspace.write(`kubeconfig-${index}`, renderKubeconfig({ url: this.url, caPem, client: admin }));
  }

  /** Ends the server as a rolling update does: SIGTERM, then, after two seconds, SIGKILL. */
  async stop(): Promise<void> {
    await this.#child?.stop(STOP_GRACE_MS);
  }

  /** Ends the server as a crash does. */
  async kill(): Promise<void> {
    await this.#child?.stop();
  }
}
