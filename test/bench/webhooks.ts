import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
  type WebhookConfiguration,
} from "../../src/core/admission/registration.ts";
import { MODE_LABEL } from "../../src/core/names.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { type KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { service, SERVICES_REF } from "./world.ts";

const API = { group: "admissionregistration.k8s.io", version: "v1" } as const;
const RESOURCES = {
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
  ValidatingWebhookConfiguration: "validatingwebhookconfigurations",
} as const;

export interface Registration {
  /** Of both configurations; mutating ones are called in the order of their names. */
  readonly name: string;
  /** Label of the namespaces for which it is asked, in the place of Fairlead's. */
  readonly namespaceLabel: string;
  /** Ask again after a later webhook has changed the object, as Fairlead wants it. */
  readonly reinvoked: boolean;
  readonly port: number;
  readonly caPem: string;
}

/** Fairlead's own two webhooks for Services, with another address and another namespace label. */
export async function registerLikeFairlead(client: KubernetesClient, registration: Registration): Promise<void> {
  const options = {
    clientConfig: { url: `https://127.0.0.1:${registration.port}` },
    paths: { mutate: "/mutate", validate: "/validate" },
    caBundle: Buffer.from(registration.caPem).toString("base64"),
    fairleadNamespace: "fairlead",
  };
  for (const original of [mutatingWebhookConfiguration(options), validatingWebhookConfiguration(options)]) {
    const path = resourcePath({ ...API, resource: RESOURCES[original.kind] });
    await client.create(path, adapted(original, registration));
  }
}

export async function unregister(client: KubernetesClient, name: string): Promise<void> {
  for (const resource of Object.values(RESOURCES)) await client.delete(resourcePath({ ...API, resource, name }));
}

/** The API server learns of a configuration by a watch: asks until it acts, without storing anything. */
export async function whenAsked(client: KubernetesClient, namespace: string, asked: () => boolean): Promise<void> {
  await waitFor(`the webhook to be asked for ${namespace}`, async () => {
    await client.request({
      method: "POST",
      path: resourcePath({ ...SERVICES_REF, namespace }),
      query: { dryRun: "All" },
      body: service("probe", "probe"),
    });
    return asked();
  });
}

function adapted(
  original: WebhookConfiguration,
  { name, namespaceLabel, reinvoked }: Registration,
): WebhookConfiguration {
  const webhooks = original.webhooks
    .filter((webhook) => webhook.rules.some((rule) => rule.resources.includes("services")))
    .map(({ reinvocationPolicy, ...webhook }) => ({
      ...webhook,
      ...(reinvoked && reinvocationPolicy && { reinvocationPolicy }),
      name: `${name}.bench.fairlead.dev`,
      namespaceSelector: {
        matchExpressions: webhook.namespaceSelector.matchExpressions.map((requirement) =>
          requirement.key === MODE_LABEL ? { ...requirement, key: namespaceLabel } : requirement,
        ),
      },
    }));
  return { ...original, metadata: { name }, webhooks };
}
