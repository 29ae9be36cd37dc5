import {
  type FailurePolicy,
  mutatingWebhookConfiguration,
  type RegistrationOptions,
  validatingWebhookConfiguration,
  type WebhookConfiguration,
} from "../core/admission/registration.ts";
import { NAMESPACE, renderTemplate, withMetadata } from "./chart.ts";
import { toYaml } from "./yaml.ts";

const COMMENT = [
  "The paths and the missing caBundle are placeholders: Fairlead writes its own CA and the paths, which",
  "cannot be guessed. It never creates these two objects.",
];

/** Both webhook configurations, for those who install with kubectl. */
export function renderWebhooks(): string {
  return toYaml(configurations("fairlead"), COMMENT);
}

/** cert-manager fills in the caBundle where it keeps the certificates. */
const INJECTED_CA = `{{- if .Values.certManager.enabled }}
  annotations:
    cert-manager.io/inject-ca-from: "{{ .Release.Namespace }}/fairlead-tls"
{{- end }}
`;

/**
 * Both as a template of the chart. An upgrade reverts what the manifest says and leaves what it does not mention, so
 * caBundle and path, which the controller writes, are not in it.
 */
export function renderChartWebhooks(): string {
  const policy = (of: string) => `{{ .Values.failurePolicy.${of} }}` as FailurePolicy;
  const failurePolicy = { services: policy("services"), routes: policy("routes") };
  const documents = configurations(NAMESPACE, failurePolicy).map(withoutPaths);
  return withMetadata(renderTemplate([{ documents }]), INJECTED_CA);
}

function configurations(
  namespace: string,
  failurePolicy: RegistrationOptions["failurePolicy"] = {},
): readonly WebhookConfiguration[] {
  const options = {
    clientConfig: { service: { name: "fairlead-admission", namespace, port: 443 } },
    paths: { mutate: "/mutate", validate: "/validate" },
    fairleadNamespace: namespace,
    failurePolicy,
  };
  return [mutatingWebhookConfiguration(options), validatingWebhookConfiguration(options)];
}

function withoutPaths({ webhooks, ...configuration }: WebhookConfiguration): object {
  return {
    ...configuration,
    webhooks: webhooks.map((webhook) => {
      const { path: _path, ...service } = webhook.clientConfig.service ?? {};
      return { ...webhook, clientConfig: { service } };
    }),
  };
}
