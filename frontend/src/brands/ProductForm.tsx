import { useState } from "react";
import type { Product } from "../api/types";
import { useSaveProduct } from "../api/workspace";
import { Button, IconButton } from "../ui/controls";
import type { OpenForm } from "../ui/FormsProvider";
import { useToast } from "../ui/messages";
import { NamedForm } from "./NamedForm";
import { type Fact, factsOf, type Keyed, keyed, MOST_FACTS, wrongWith } from "./rows";

export interface ProductDraft {
  name: string;
  facts: Keyed<Fact>[];
}

interface Props {
  brand: string;
  /** Null for a new one. */
  product: Product | null;
  form: OpenForm<ProductDraft>;
}

const EMPTY: Fact = { name: "", value: "" };

export const productDraft = (product: Product | null): ProductDraft => ({
  name: product?.name ?? "",
  facts: [
    ...Object.entries(product?.facts ?? {}).map(([name, value]) => keyed({ name, value })),
    ...(product ? [] : [keyed(EMPTY)]),
  ],
});

/** A product's name and the facts that copy may state of it. */
export function ProductForm({ brand, product, form }: Props) {
  const save = useSaveProduct(brand, product?.id ?? null);
  const tell = useToast();
  const { name, facts } = form.value;
  const setFacts = (next: ProductDraft["facts"]) => form.change({ ...form.value, facts: next });
  const [wrong, setWrong] = useState<string | null>(null);
  const change = (row: Keyed<Fact>, part: Partial<Fact>) =>
    setFacts(facts.map((old) => (old === row ? { ...old, ...part } : old)));
  const submit = () => {
    const problem = wrongWith(facts);
    setWrong(problem);
    if (problem !== null) return;
    form.save(async () => {
      await save.mutateAsync({ name: name.trim(), facts: factsOf(facts) });
      tell("Product saved");
    });
  };
  return (
    <NamedForm
      className="product-form"
      title={product ? `Change ${product.name}` : "New product"}
      label="Product"
      name={name}
      onName={(name) => form.change({ ...form.value, name })}
      problem={wrong ?? form.problem}
      busy={form.busy}
      onSave={submit}
      onClose={form.close}
    >
      <fieldset className="field">
        <legend className="label">Facts</legend>
        {facts.map((row, place) => (
          <div key={row.key} className="fact">
            <input
              className="input"
              aria-label={`Name of fact ${place + 1}`}
              placeholder="volume"
              maxLength={200}
              value={row.name}
              readOnly={form.busy}
              onChange={(event) => change(row, { name: event.target.value })}
            />
            <input
              className="input"
              aria-label={`Fact ${place + 1}`}
              placeholder="300 ml"
              maxLength={500}
              value={row.value}
              readOnly={form.busy}
              onChange={(event) => change(row, { value: event.target.value })}
            />
            <IconButton
              icon="close"
              label={`Remove fact ${place + 1}`}
              disabled={form.busy}
              onClick={() => setFacts(facts.filter((other) => other !== row))}
            />
          </div>
        ))}
        {facts.length < MOST_FACTS && (
          <Button
            look="quiet"
            icon="plus"
            disabled={form.busy}
            onClick={() => setFacts([...facts, keyed(EMPTY)])}
          >
            Add a fact
          </Button>
        )}
      </fieldset>
    </NamedForm>
  );
}
