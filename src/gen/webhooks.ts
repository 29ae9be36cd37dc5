import { mutatingWebhookConfiguration, validatingWebhookConfiguration } from "../core/admission/registration.ts";
import { toYaml } from "./yaml.ts";

const COMMENT = [
  "The paths and the missing caBundle are placeholders: Fairlead writes its own CA and the paths, which",
  "cannot be guessed. It never creates these two objects.",
];

/** Both webhook configurations, for those who install with kubectl. */
export function renderWebhooks(): string {
  const options = {
    clientConfig: { service: { name: "fairlead-admission", namespace: "fairlead", port: 443 } },
    paths: { mutate: "/mutate", validate: "/validate" },
    fairleadNamespace: "fairlead",
  };
  return toYaml([mutatingWebhookConfiguration(options), validatingWebhookConfiguration(options)], COMMENT);
}
