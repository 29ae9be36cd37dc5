import { finding } from "../../finding.ts";
import { recordsIn, type Service, type ServicePort } from "../../kubernetes.ts";
import type { Eligibility, TargetContext } from "../mesh.ts";

/** Words at the start of appProtocol or of the name of a port with which Istio speaks no HTTP (`protocol.Parse`). */
const OTHER_PROTOCOLS: ReadonlySet<string> = new Set(["tcp", "udp", "https", "tls", "mongo", "redis", "mysql"]);
/** Ports that Istio takes as TCP where nothing names their protocol (`wellKnownPorts` of pkg/config/kube). */
const TCP_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27_017]);
const HTTP_WORDS: ReadonlySet<string> = new Set(["http", "http2", "grpc", "http_proxy"]);

const ELIGIBLE: Eligibility = Object.freeze({ eligible: true, findings: Object.freeze([]) });

/** Whether Istio would act on settings of this target at all (docs/istio.md, When nothing applies). */
export function istioEligibility(target: TargetContext): Eligibility {
  // Refused when the policy is written, and not worth a word at every write of the route.
  if (target.kind.kind !== "Service") return { eligible: false, findings: [] };
  const { spec } = target.object as Service;
  if (spec?.type === "ExternalName") {
    return refused("It is an ExternalName Service", "point clients at a Service with endpoints in the mesh");
  }
  if (spec?.clusterIP === "None") {
    return refused("It is headless (clusterIP: None)", "give it a cluster IP, or remove the policy");
  }
  const ports = recordsIn(spec?.ports);
  const reasons = ports.map(whyNotHttp).filter((reason) => reason !== undefined);
  if (reasons.length === 0) return ELIGIBLE;
  const found = reasons.join(", ");
  const fix = "set appProtocol: http, http2 or grpc where it is HTTP";
  if (reasons.length === ports.length) return refused(`No port speaks HTTP for Istio: ${found}`, fix);
  return {
    eligible: true,
    findings: [finding("FL304", "spec.ports", { message: `Settings do not act on ${found}`, fix })],
  };
}

/** Also where nothing names the protocol, and Istio finds out. */
export function speaksHttp(port: ServicePort): boolean {
  return whyNotHttp(port) === undefined;
}

function refused(message: string, fix: string): Eligibility {
  return {
    eligible: false,
    findings: [finding("FL303", "", { message: `${message}; Istio applies no policy, nothing is written`, fix })],
  };
}

/** `port 3306 (appProtocol mysql)`, or undefined where Istio speaks HTTP or finds out by itself. */
function whyNotHttp({ port, name, protocol = "TCP", appProtocol }: ServicePort): string | undefined {
  if (protocol !== "TCP") return `port ${port} (${protocol})`;
  const said = typeof appProtocol === "string" ? appProtocol : (name ?? "");
  if (appProtocol === "kubernetes.io/wss") return `port ${port} (appProtocol ${appProtocol})`;
  if (appProtocol === "kubernetes.io/h2c" || appProtocol === "kubernetes.io/ws") return undefined;
  const [word = ""] = said.toLowerCase().split("-");
  if (OTHER_PROTOCOLS.has(word)) {
    return `port ${port} (${typeof appProtocol === "string" ? `appProtocol ${said}` : `named ${said}`})`;
  }
  return TCP_PORTS.has(port) && !HTTP_WORDS.has(word) ? `port ${port} (TCP by default)` : undefined;
}
