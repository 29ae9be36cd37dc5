import { finding } from "../finding.ts";
import { SECTIONS } from "../intent/intent.ts";
import type { MeshCompiler } from "./mesh.ts";

/**
 * Istio is known but not built: a policy for it is refused, because admitting it would promise what nobody does.
 * Istio reads no resilience from annotations, so there is nothing to inject and no key of a family.
 */
export const istio: MeshCompiler = {
  name: "Istio",
  compile: (intent) => ({
    groups: [],
    findings: SECTIONS.filter((section) => intent[section] !== undefined).map((section) =>
      finding("FL314", `spec.${section}`, {
        message:
          "Found a policy for Istio; this version of Fairlead configures Linkerd only, so it would have no effect",
        fix: "write a DestinationRule or VirtualService by hand, or set spec.mesh: Linkerd where Linkerd is the mesh",
      }),
    ),
  }),
  eligibility: () => ({ eligible: false, findings: [] }),
  httpPorts: () => [],
  shadows: () => [],
  review: () => [],
  inForce: () => ({ settings: {}, inherited: {} }),
  groupOf: () => undefined,
  acceptsValue: () => false,
  objection: () => undefined,
  meansTheSame: ({ value, other }) => value === other,
};
