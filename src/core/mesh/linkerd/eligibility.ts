import { type Finding, finding } from "../../finding.ts";
import {
  annotationsOf,
  type ParentReference,
  recordsIn,
  type Route,
  type Service,
  type ServicePort,
} from "../../kubernetes.ts";
import type { Eligibility, TargetContext } from "../mesh.ts";
import { type LinkerdVersion, supports } from "./version.ts";

const OPAQUE_PORTS = "config.linkerd.io/opaque-ports";

/** Ports that Linkerd takes as opaque unless the Service says otherwise (linkerd2 charts, `proxy.opaquePorts`). */
const DEFAULT_OPAQUE_PORTS: readonly PortRange[] = [25, 587, 3306, 4444, 5432, 6379, 9300, 11211].map((port) => [
  port,
  port,
]);

/** Values of appProtocol with which Linkerd speaks HTTP (linkerd2 core/outbound.rs `AppProtocol`); others are opaque. */
const HTTP_APP_PROTOCOLS: ReadonlySet<string> = new Set(["http", "kubernetes.io/h2c"]);

/** What a Service says of its ports, and what decides how Linkerd reads it. */
export type ServiceView = Pick<TargetContext, "key" | "object" | "namespace" | "version">;

type PortRange = readonly [from: number, to: number];

const ELIGIBLE: Eligibility = Object.freeze({ eligible: true, findings: Object.freeze([]) });

/** Whether Linkerd would act on settings of this target at all (docs/linkerd.md, When nothing applies). */
export function linkerdEligibility(target: TargetContext): Eligibility {
  return target.kind.kind === "Service" ? serviceEligibility(target) : routeEligibility(target.object as Route);
}

function serviceEligibility(target: TargetContext): Eligibility {
  const { spec } = target.object as Service;
  if (spec?.type === "ExternalName")
    return refused("It is an ExternalName Service", "point clients at a Service with endpoints in the mesh");
  if (spec?.clusterIP === "None")
    return refused("It is headless (clusterIP: None)", "give it a cluster IP, or remove the policy");
  const ports = recordsIn(spec?.ports);
  const reasons = ports.map((port) => whyNotHttp(port, target)).filter((reason) => reason !== undefined);
  if (reasons.length === 0) return ELIGIBLE;
  const found = reasons.join(", ");
  if (reasons.length === ports.length) {
    return refused(`No port speaks HTTP for Linkerd: ${found}`, howToSpeakHttp(ports, target));
  }
  return {
    eligible: true,
    findings: [
      finding("FL304", "spec.ports", {
        message: `Settings do not act on ${found}`,
        fix: howToSpeakHttp(ports, target),
      }),
    ],
  };
}

/** A port number may stand for TCP and for UDP: it counts once, where it speaks HTTP. */
export function httpPorts(target: TargetContext): readonly number[] {
  const ports = recordsIn((target.object as Service).spec?.ports);
  return [...new Set(ports.filter((port) => whyNotHttp(port, target) === undefined).map(({ port }) => port))];
}

function refused(message: string, fix: string): Eligibility {
  return {
    eligible: false,
    findings: [finding("FL303", "", { message: `${message}; Linkerd applies no policy, nothing is injected`, fix })],
  };
}

/** `port 3306 (opaque by default)`, or undefined when Linkerd detects HTTP on the port. */
function whyNotHttp(port: ServicePort, target: ServiceView): string | undefined {
  const protocol = port.protocol ?? "TCP";
  if (protocol !== "TCP") return `port ${port.port} (${protocol})`;
  if (saysProtocol(port, target)) {
    return HTTP_APP_PROTOCOLS.has(port.appProtocol) ? undefined : `port ${port.port} (appProtocol ${port.appProtocol})`;
  }
  if (!isListedOpaque(port.port, target)) return undefined;
  const isDefault = writtenOpaquePorts(target) === undefined;
  return `port ${port.port} (${isDefault ? "opaque by default" : `opaque by ${OPAQUE_PORTS}`})`;
}

/** Then no list of opaque ports counts. */
function saysProtocol(
  port: ServicePort,
  { version }: ServiceView,
): port is ServicePort & { readonly appProtocol: string } {
  return typeof port.appProtocol === "string" && decidesByAppProtocol(version.linkerd);
}

/** By the list of the Service, else that of its namespace, else Linkerd's. */
function isListedOpaque(port: number, target: ServiceView): boolean {
  const written = writtenOpaquePorts(target);
  const opaque = written === undefined ? DEFAULT_OPAQUE_PORTS : parsePortRanges(written);
  return opaque.some(([from, to]) => port >= from && port <= to);
}

function writtenOpaquePorts({ object, namespace }: ServiceView): string | undefined {
  return annotationsOf(object)[OPAQUE_PORTS] ?? namespace?.annotations[OPAQUE_PORTS];
}

/** A TCP port of the Pods that a Service leads to. */
export interface InboundPort {
  /** By number or by name, as the Service has it. */
  readonly port: number | string;
  readonly speaksHttp: boolean;
  /** Linkerd's proxy is not to look for a protocol there. */
  readonly isOpaque: boolean;
  /** Clients take it for HTTP, by its number on the Service, and the Pods do not, by theirs. */
  readonly isDisputed: boolean;
}

/**
 * Each port of the Pods once, in the order of the Service; it speaks HTTP where one port of the Service says so. The list of
 * opaque ports is read by number, at clients that of the Service and at the Pods their own.
 */
export function inboundPorts(target: ServiceView): readonly InboundPort[] {
  const ports = recordsIn((target.object as Service).spec?.ports).filter(({ protocol = "TCP" }) => protocol === "TCP");
  return [...Map.groupBy(ports, ({ port, targetPort = port }) => targetPort)].map(([port, leading]) => {
    const ofHttp = leading.filter((one) => whyNotHttp(one, target) === undefined);
    const isListed = typeof port === "number" && isListedOpaque(port, target);
    const speaksHttp = ofHttp.some((one) => !isListed || saysProtocol(one, target));
    const isOpaque = !speaksHttp && (isListed || leading.some((one) => isListedOpaque(one.port, target)));
    return { port, speaksHttp, isOpaque, isDisputed: ofHttp.length > 0 && !speaksHttp };
  });
}

function howToSpeakHttp(ports: readonly ServicePort[], target: TargetContext): string {
  const refusedPorts = ports.filter((port) => whyNotHttp(port, target) !== undefined);
  if (refusedPorts.every((port) => (port.protocol ?? "TCP") !== "TCP"))
    return "nothing to do: meshes leave such ports alone";
  if (decidesByAppProtocol(target.version.linkerd))
    return "set appProtocol: http or kubernetes.io/h2c where it is HTTP";
  return `set ${OPAQUE_PORTS} on the Service to a list without the port where it is HTTP`;
}

/** From 2.18 on appProtocol decides before the list of opaque ports. */
function decidesByAppProtocol(version: LinkerdVersion): boolean {
  return supports(version, "appProtocol");
}

/** linkerd2 `parse_portset`: numbers and ranges, blanks around them allowed; any error empties the whole list. */
function parsePortRanges(text: string): readonly PortRange[] {
  const ranges: PortRange[] = [];
  for (const item of text.split(",")) {
    if (item.trim() === "") continue;
    const match = /^\s*\+?(\d{1,9})\s*(?:-\s*\+?(\d{1,9})\s*)?$/.exec(item);
    const from = Number(match?.[1] ?? Number.NaN);
    const to = match?.[2] === undefined ? from : Number(match[2]);
    if (!(from >= 1 && to <= 65_535 && from <= to)) return [];
    ranges.push([from, to]);
  }
  return ranges;
}

function routeEligibility(route: Route): Eligibility {
  if (serviceParents(route).length > 0) return ELIGIBLE;
  return {
    eligible: false,
    findings: [
      finding("FL306", "spec.parentRefs", {
        message: 'No parentRef names a Service with kind: Service and group: ""; Linkerd reads no annotations here',
        fix: 'add a parentRef with kind: Service and group: ""',
      }),
    ],
  };
}

/** Parents that Linkerd takes as Services: kind and group must be written out (docs/linkerd.md, Service and route). */
export function serviceParents(route: Route): readonly ParentReference[] {
  return recordsIn(route.spec?.parentRefs).filter(
    (parent) => parent.kind === "Service" && (parent.group === "" || parent.group === "core"),
  );
}

/**
 * ServiceProfiles that replace everything written on a Service, and every route of it (docs/linkerd.md, When nothing applies). They count in
 * any namespace: a client's own goes first.
 */
export function shadowingProfiles(target: TargetContext): readonly Finding[] {
  const isService = target.kind.kind === "Service";
  const services = isService ? [{ name: target.key.name }] : serviceParents(target.object as Route);
  return services.flatMap(({ name, namespace = target.key.namespace }: ParentReference) =>
    target.world
      .serviceProfilesFor(name, namespace)
      .filter((profile) => profile.active)
      .map((profile) =>
        finding("FL305", "", {
          message: `ServiceProfile ${profile.namespace}/${profile.name} has routes or overrides and switches ${isService ? "all annotations" : "every route"} of Service ${name} off`,
          fix: "delete it, or its routes and dstOverrides",
        }),
      ),
  );
}
