import type { Section } from "../../intent/intent.ts";
import { type CompanionKind, companionName, DESTINATION_RULE, SERVICE_KIND, VIRTUAL_SERVICE } from "../../names.ts";
import type { Companion, HostIntent } from "../companion.ts";
import { withoutRefused } from "../refused.ts";
import { compileForIstio } from "./compile.ts";
import { destinationRuleSpec } from "./destination-rule.ts";
import { hostOf } from "./hosts.ts";
import { type IstioVersion, istioHas } from "./version.ts";
import { virtualServiceSpec } from "./virtual-service.ts";
import { unfitForIstio } from "./workload.ts";
import { workloadCompanions } from "./workload-companions.ts";

/** At most one object of each kind for a host, of which Istio takes one, by age; and those for the Pods behind it. */
export function istioCompanions({ service, intent }: HostIntent): readonly Companion[] {
  const host = hostOf(service);
  const { istio } = service.version;
  const refused = [...compileForIstio(intent, SERVICE_KIND).findings, ...unfitForIstio({ service, intent })];
  const possible = withoutRefused(intent, refused);
  const make = (kind: CompanionKind, sections: readonly Section[], spec: object | undefined): readonly Companion[] => {
    if (spec === undefined) return [];
    const { namespace, name } = service.key;
    const apiVersion = `${kind.group}/${apiVersionOf(istio)}`;
    const object = { apiVersion, kind: kind.kind, metadata: { namespace, name: companionName(name) }, spec };
    const carried = sections.filter((section) => possible[section] !== undefined);
    return [{ kind, sections: carried, object }];
  };
  return [
    ...make(DESTINATION_RULE, ["circuitBreaker"], destinationRuleSpec(possible, host)),
    ...make(
      VIRTUAL_SERVICE,
      ["retry", "timeout", "routes", "trafficSplit", "faultInjection"],
      virtualServiceSpec(possible, host, istio),
    ),
    ...workloadCompanions(possible, service),
  ];
}

function apiVersionOf(version: IstioVersion): string {
  return istioHas(version, "v1") ? "v1" : "v1beta1";
}
