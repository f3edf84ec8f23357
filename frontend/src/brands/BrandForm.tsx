import type { Brand } from "../api/types";
import { useSaveBrand } from "../api/workspace";
import { Button, IconButton } from "../ui/controls";
import type { OpenForm } from "../ui/FormsProvider";
import { useToast } from "../ui/messages";
import { NamedForm } from "./NamedForm";
import { type Keyed, keyed, MOST_COLOURS } from "./rows";

export interface BrandDraft {
  name: string;
  colours: Keyed<{ colour: string }>[];
}

export const brandDraft = (brand: Brand | null): BrandDraft => ({
  name: brand?.name ?? "",
  colours: (brand?.colours ?? []).map((colour) => keyed({ colour })),
});

/** A brand's name and colours; `brand` is null for a new one. */
export function BrandForm({ brand, form }: { brand: Brand | null; form: OpenForm<BrandDraft> }) {
  const save = useSaveBrand(brand?.id ?? null);
  const tell = useToast();
  const { name, colours } = form.value;
  const setColours = (next: BrandDraft["colours"]) => form.change({ ...form.value, colours: next });
  const submit = () =>
    form.save(async () => {
      await save.mutateAsync({ name: name.trim(), colours: colours.map((one) => one.colour) });
      tell("Brand saved");
    });
  return (
    <NamedForm
      className="plate brand-form"
      title={brand ? `Change ${brand.name}` : "New brand"}
      label="Name"
      name={name}
      onName={(name) => form.change({ ...form.value, name })}
      problem={form.problem}
      busy={form.busy}
      onSave={submit}
      onClose={form.close}
    >
      <fieldset className="field">
        <legend className="label">Colours</legend>
        <div className="colours">
          {colours.map((one, place) => (
            <span key={one.key} className="colour">
              <input
                type="color"
                aria-label={`Colour ${place + 1}`}
                value={one.colour}
                disabled={form.busy}
                onChange={(event) =>
                  setColours(
                    colours.map((old) => (old === one ? { ...old, colour: event.target.value } : old)),
                  )
                }
              />
              <IconButton
                icon="close"
                label={`Remove colour ${place + 1}`}
                disabled={form.busy}
                onClick={() => setColours(colours.filter((other) => other !== one))}
              />
            </span>
          ))}
          {colours.length < MOST_COLOURS && (
            <Button
              look="quiet"
              icon="plus"
              disabled={form.busy}
              onClick={() => setColours([...colours, keyed({ colour: "#0b6e76" })])}
            >
              Add a colour
            </Button>
          )}
        </div>
      </fieldset>
    </NamedForm>
  );
}
