import type { Intent } from "../../intent/intent.ts";
import { SERVICE_KIND } from "../../names.ts";
import type { InForce, MeshCompiler, TargetContext } from "../mesh.ts";
import { accessOnly } from "../pods.ts";
import { istioCompanions } from "./companions.ts";
import { compileForIstio } from "./compile.ts";
import { ejectsNothing } from "./ejection.ts";
import { istioEligibility } from "./eligibility.ts";
import { istioRivals } from "./rivals.ts";
import { unfitForIstio } from "./workload.ts";

/** Istio: settings are objects beside the Service. It reads none from annotations, so there is no key of a family. */
export const istio: MeshCompiler = {
  name: "Istio",
  settingsStand: "beside it",
  compile: compileForIstio,
  companions: istioCompanions,
  unfit: unfitForIstio,
  fallsShort: ejectsNothing,
  rivals: istioRivals,
  eligibility: istioEligibility,
  // The routes of a policy are entries of its VirtualService.
  httpPorts: () => [],
  shadows: () => [],
  review: () => [],
  inForce,
  groupOf: () => undefined,
  acceptsValue: () => false,
  objection: () => undefined,
  meansTheSame: ({ value, other }) => value === other,
};

/** Nothing stands on the target: in force is what policies ask for, where Istio can do it and nobody else's objects are. */
function inForce(target: TargetContext, wanted: Intent): InForce {
  const intent = istioEligibility(target).eligible ? wanted : accessOnly(wanted, target.object);
  const companions = target.kind === SERVICE_KIND ? istioCompanions({ service: target, intent }) : [];
  const refused = new Set(
    companions
      .filter((companion) => istioRivals(companion, target).some(({ severity }) => severity === "deny"))
      .flatMap(({ sections }) => sections),
  );
  const sections = companions.flatMap((companion) => companion.sections).filter((section) => !refused.has(section));
  return { settings: Object.fromEntries(sections.map((section) => [section, wanted[section]])), inherited: {} };
}
