/** Command lines of the components. Every listener is bound to 127.0.0.1. */

const SERVICE_RANGE = "10.96.0.0/16";

export interface EtcdOptions {
  readonly binary: string;
  readonly dataDirectory: string;
  readonly certificateDirectory: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

/**
 * etcd without fsync: its data never outlives the control plane. It asks clients for a certificate of our CA, so
 * that an API server cannot end up on the etcd of another run that won a race for the port.
 */
export function etcdCommand(options: EtcdOptions): string[] {
  const file = (name: string) => `${options.certificateDirectory}/${name}`;
  const clientUrl = `https://127.0.0.1:${options.clientPort}`;
  const peerUrl = `http://127.0.0.1:${options.peerPort}`;
  return [
    options.binary,
    "--name=default",
    `--data-dir=${options.dataDirectory}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    `--cert-file=${file("serving.crt")}`,
    `--key-file=${file("serving.key")}`,
    `--trusted-ca-file=${file("ca.crt")}`,
    "--client-cert-auth",
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

export interface ApiServerOptions {
  readonly binary: string;
  readonly port: number;
  readonly etcdPort: number;
  readonly certificateDirectory: string;
  /** Pods need a ServiceAccount that only the controller manager makes. */
  readonly serviceAccounts: boolean;
  readonly extra: readonly string[];
}

export function apiServerCommand(options: ApiServerOptions): string[] {
  const file = (name: string) => `${options.certificateDirectory}/${name}`;
  return [
    options.binary,
    `--etcd-servers=https://127.0.0.1:${options.etcdPort}`,
    `--etcd-cafile=${file("ca.crt")}`,
    `--etcd-certfile=${file("serving.crt")}`,
    `--etcd-keyfile=${file("serving.key")}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${options.port}`,
    // Endpoints cannot have a loopback address, so the API server is not to publish its own.
    "--advertise-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    "--authorization-mode=RBAC",
    `--client-ca-file=${file("ca.crt")}`,
    `--tls-cert-file=${file("serving.crt")}`,
    `--tls-private-key-file=${file("serving.key")}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${file("service-account.pub")}`,
    `--service-account-signing-key-file=${file("service-account.key")}`,
    // No kube-proxy runs: a webhook's Service is reached by its endpoints.
    "--enable-aggregator-routing=true",
    "--allow-privileged=true",
    ...(options.serviceAccounts ? [] : ["--disable-admission-plugins=ServiceAccount"]),
    ...options.extra,
  ];
}

export interface ControllerManagerOptions {
  readonly binary: string;
  readonly kubeconfigPath: string;
  readonly certificateDirectory: string;
}

export function controllerManagerCommand(options: ControllerManagerOptions): string[] {
  const file = (name: string) => `${options.certificateDirectory}/${name}`;
  return [
    options.binary,
    `--kubeconfig=${options.kubeconfigPath}`,
    "--leader-elect=false",
    // It serves nothing: its readiness is seen by what it writes.
    "--secure-port=0",
    "--use-service-account-credentials=true",
    // The default of 20 requests a second alone delays the start by four seconds.
    "--kube-api-qps=1000",
    "--kube-api-burst=2000",
    `--service-account-private-key-file=${file("service-account.key")}`,
    `--root-ca-file=${file("ca.crt")}`,
  ];
}
