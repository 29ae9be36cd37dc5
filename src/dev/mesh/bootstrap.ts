/** Who a proxy is to istiod. */
export interface ProxyIdentity {
  readonly name: string;
  readonly namespace: string;
  /** The address of its pod. */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
}

export interface BootstrapOptions {
  readonly identity: ProxyIdentity;
  readonly adminPort: number;
  readonly discoveryPort: number;
  readonly secretPort: number;
}

/** The version of the proxy that istiod is told; what it sends may depend on it. */
const ISTIO_VERSION = "1.31.0";
/** The names that Istio's configuration uses for the cluster of istiod and that of istio-agent. */
const DISCOVERY_CLUSTER = "xds-grpc";
const SECRET_CLUSTER = "sds-grpc";

/** The name under which istiod and the secret server know a proxy. */
export function nodeId(identity: ProxyIdentity): string {
  const { name, namespace, address } = identity;
  return `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`;
}

/** What Envoy starts with: who it is, and where it gets everything else from. */
export function renderBootstrap(options: BootstrapOptions): object {
  const { identity, adminPort, discoveryPort, secretPort } = options;
  const metadata = {
    ISTIO_VERSION,
    NAMESPACE: identity.namespace,
    CLUSTER_ID: "Kubernetes",
    INSTANCE_IPS: identity.address,
    SERVICE_ACCOUNT: identity.serviceAccount,
    WORKLOAD_NAME: identity.name,
    LABELS: identity.labels,
  };
  const fromDiscovery = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
  return {
    node: { id: nodeId(identity), cluster: `${identity.name}.${identity.namespace}`, metadata },
    admin: { address: socketAddress(adminPort) },
    dynamic_resources: {
      lds_config: fromDiscovery,
      cds_config: fromDiscovery,
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: DISCOVERY_CLUSTER } }],
      },
    },
    static_resources: {
      clusters: [http2Cluster(DISCOVERY_CLUSTER, discoveryPort), http2Cluster(SECRET_CLUSTER, secretPort)],
    },
  };
}

function http2Cluster(name: string, port: number): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: "5s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
    },
  };
}

function socketAddress(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
