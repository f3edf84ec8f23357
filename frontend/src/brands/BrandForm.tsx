import { useState } from "react";
import { sentence } from "../api/client";
import type { Brand } from "../api/types";
import { useSaveBrand } from "../api/workspace";
import { Button, IconButton } from "../ui/controls";
import { useToast } from "../ui/messages";
import { NamedForm } from "./NamedForm";
import { type Keyed, keyed, MOST_COLOURS } from "./rows";

/** A brand's name and colours; `brand` is null for a new one. */
export function BrandForm({ brand, onClose }: { brand: Brand | null; onClose: () => void }) {
  const save = useSaveBrand(brand?.id ?? null);
  const tell = useToast();
  const [name, setName] = useState(brand?.name ?? "");
  const [colours, setColours] = useState<Keyed<{ colour: string }>[]>(() =>
    (brand?.colours ?? []).map((colour) => keyed({ colour })),
  );
  const submit = () =>
    save.mutate(
      { name: name.trim(), colours: colours.map((one) => one.colour) },
      {
        onSuccess: () => {
          tell("Brand saved");
          onClose();
        },
      },
    );
  return (
    <NamedForm
      className="plate brand-form"
      title={brand ? `Change ${brand.name}` : "New brand"}
      label="Name"
      name={name}
      onName={setName}
      problem={save.isError ? sentence(save.error) : null}
      busy={save.isPending}
      onSave={submit}
      onClose={onClose}
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
                onChange={(event) =>
                  setColours(
                    colours.map((old) => (old === one ? { ...old, colour: event.target.value } : old)),
                  )
                }
              />
              <IconButton
                icon="close"
                label={`Remove colour ${place + 1}`}
                onClick={() => setColours(colours.filter((other) => other !== one))}
              />
            </span>
          ))}
          {colours.length < MOST_COLOURS && (
            <Button
              look="quiet"
              icon="plus"
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
