import type { Brand, Product } from "../api/types";
import { useBrands, useProducts } from "../api/workspace";
import { useLookOnly, useMayEdit } from "../app/member";
import { Button, IconButton } from "../ui/controls";
import { useOpenForm } from "../ui/FormsProvider";
import { useTitle } from "../ui/hooks";
import { Empty } from "../ui/messages";
import { InPages } from "../ui/Pages";
import { type BrandDraft, BrandForm, brandDraft } from "./BrandForm";
import { type ProductDraft, ProductForm, productDraft } from "./ProductForm";

/** The brands of the workspace: their colours, and their products with the facts that copy may state. */
export function BrandPage() {
  useTitle("Brand");
  const brands = useBrands();
  const mayEdit = useMayEdit();
  const lookOnly = useLookOnly();
  const { form: adding, open: add } = useOpenForm<BrandDraft>("brand");
  return (
    <>
      <div className="page-head">
        <h1>Brand</h1>
        {mayEdit && !adding && (
          <Button icon="plus" onClick={() => add(brandDraft(null))}>
            Add a brand
          </Button>
        )}
      </div>
      {lookOnly && <p className="muted page-note">{lookOnly}</p>}
      {adding && <BrandForm brand={null} form={adding} />}
      <InPages of={brands} waiting="Loading brands">
        {(found) =>
          found.length === 0 && !adding ? (
            <Empty icon="tag" title="No brand yet">
              A brand has colours and products. What is true of a product is kept as facts, so that copy
              states nothing else.
            </Empty>
          ) : (
            found.map((brand) => <BrandSection key={brand.id} brand={brand} />)
          )
        }
      </InPages>
    </>
  );
}

function BrandSection({ brand }: { brand: Brand }) {
  const products = useProducts(brand.id);
  const mayEdit = useMayEdit();
  const { form: editing, open: edit } = useOpenForm<BrandDraft>(`brand ${brand.id}`);
  const { form: adding, open: add } = useOpenForm<ProductDraft>(`product of ${brand.id}`);
  return (
    <section className="brand-section" aria-label={brand.name}>
      {editing ? (
        <BrandForm brand={brand} form={editing} />
      ) : (
        <div className="brand-head">
          <h2 dir="auto">{brand.name}</h2>
          <ul className="swatches" aria-label="Colours">
            {brand.colours.map((colour) => (
              <li key={colour} className="swatch" title={colour}>
                <svg viewBox="0 0 20 20" aria-hidden="true">
                  <rect width="20" height="20" fill={colour} />
                </svg>
                <span className="mono">{colour}</span>
              </li>
            ))}
          </ul>
          {mayEdit && (
            <IconButton
              icon="settings"
              label={`Change ${brand.name}`}
              onClick={() => edit(brandDraft(brand))}
            />
          )}
        </div>
      )}
      <InPages of={products} waiting="Loading products">
        {(found) => (
          <ul className="plates">
            {found.map((product) => (
              <li key={product.id} className="plate">
                <ProductPlate product={product} />
              </li>
            ))}
            {mayEdit && (
              <li className={adding ? "plate" : "plate plate-add"}>
                {adding ? (
                  <ProductForm brand={brand.id} product={null} form={adding} />
                ) : (
                  <Button look="quiet" icon="plus" onClick={() => add(productDraft(null))}>
                    Add a product
                  </Button>
                )}
              </li>
            )}
          </ul>
        )}
      </InPages>
    </section>
  );
}

function ProductPlate({ product }: { product: Product }) {
  const mayEdit = useMayEdit();
  const { form: editing, open: edit } = useOpenForm<ProductDraft>(`product ${product.id}`);
  if (editing) return <ProductForm brand={product.brand_id} product={product} form={editing} />;
  const facts = Object.entries(product.facts);
  return (
    <>
      <div className="plate-head">
        <h3 dir="auto">{product.name}</h3>
        {mayEdit && (
          <IconButton
            icon="settings"
            label={`Change ${product.name}`}
            onClick={() => edit(productDraft(product))}
          />
        )}
      </div>
      {facts.length === 0 && <p className="small muted">No facts yet.</p>}
      <dl className="rows">
        {facts.map(([name, value]) => (
          <div key={name} className="row">
            <dt dir="auto">{name}</dt>
            <dd dir="auto">{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
