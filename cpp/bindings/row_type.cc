#include "bindings/row_type.h"

#include <structmember.h>

#include <string>

#include "bindings/errors.h"
#include "bindings/gil.h"

namespace headrace::bindings {

PyTypeObject* row_type = nullptr;

namespace {

PyObject* row_kind_class = nullptr;

PyObject* AllocateRow(PyTypeObject* type, PyObject* names, Py_ssize_t size, uint8_t kind) {
  PyObject* object = type->tp_alloc(type, size);
  if (!object) return nullptr;
  RowObject* row = AsRow(object);
  row->names = Py_XNewRef(names);
  row->kind = kind;
  return object;
}

// The names as a tuple of interned strs, or null with an error set.
PyObject* NamesTuple(PyObject* names) {
  PyObject* tuple = PySequence_Tuple(names);
  if (!tuple) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    if (!PyUnicode_Check(PyTuple_GET_ITEM(tuple, i))) {
      PyErr_Format(PyExc_TypeError, "field names of a Row must be str, got %s",
                   Py_TYPE(PyTuple_GET_ITEM(tuple, i))->tp_name);
      Py_DECREF(tuple);
      return nullptr;
    }
    PyUnicode_InternInPlace(&PyTuple_GET_ITEM(tuple, i));
  }
  return tuple;
}

bool ParseKind(PyObject* kind, uint8_t* out) {
  PyRef value = PyLong_Check(kind) ? PyRef::Borrow(kind)
                                   : PyRef::Steal(PyObject_GetAttrString(kind, "value"));
  const long number = value ? PyLong_AsLong(value.get()) : -1;
  if (PyErr_Occurred() || number < 0 || number > 3) {
    PyErr_Format(PyExc_ValueError, "%R is not a RowKind", kind);
    return false;
  }
  *out = static_cast<uint8_t>(number);
  return true;
}

PyObject* MakeRow(PyTypeObject* type, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  const Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  if (nargs > 0 && named > 0) {
    PyErr_SetString(PyExc_ValueError, "Can not use both args and kwargs to create Row");
    return nullptr;
  }
  PyRef names;
  if (named > 0) {
    names = PyRef::Steal(NamesTuple(kwnames));
    if (!names) return nullptr;
  }
  const Py_ssize_t size = nargs + named;
  PyObject* row = AllocateRow(type, names.get(), size, 0);
  if (!row) return nullptr;
  for (Py_ssize_t i = 0; i < size; ++i) AsRow(row)->values[i] = Py_NewRef(args[i]);
  return row;
}

PyObject* Vectorcall(PyObject* type, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  return MakeRow(reinterpret_cast<PyTypeObject*>(type), args, PyVectorcall_NARGS(nargsf), kwnames);
}

PyObject* New(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  if (!kwargs || PyDict_GET_SIZE(kwargs) == 0) {
    return MakeRow(type, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args), nullptr);
  }
  PyRef names = PyRef::Steal(PySequence_Tuple(kwargs));
  PyRef values = PyRef::Steal(PyDict_Values(kwargs));
  if (!names || !values) return nullptr;
  if (PyTuple_GET_SIZE(args) > 0) {
    PyErr_SetString(PyExc_ValueError, "Can not use both args and kwargs to create Row");
    return nullptr;
  }
  return MakeRow(type, PySequence_Fast_ITEMS(values.get()), 0, names.get());
}

int Init(PyObject*, PyObject*, PyObject*) { return 0; }

int Traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(AsRow(self)->names);
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) Py_VISIT(AsRow(self)->values[i]);
  return 0;
}

int Clear(PyObject* self) {
  Py_CLEAR(AsRow(self)->names);
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) Py_CLEAR(AsRow(self)->values[i]);
  return 0;
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, Dealloc);
  Clear(self);
  type->tp_free(self);
  Py_DECREF(type);
  Py_TRASHCAN_END;
}

PyObject* NamesOrEmpty(const RowObject* row) {
  return row->names ? Py_NewRef(row->names) : PyTuple_New(0);
}

// Value after Clear() by the collector: None.
PyObject* ValueAt(const RowObject* row, Py_ssize_t i) {
  return row->values[i] ? row->values[i] : Py_None;
}

PyObject* ValuesList(PyObject* self) {
  PyObject* list = PyList_New(Py_SIZE(self));
  if (!list) return nullptr;
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) {
    PyList_SET_ITEM(list, i, Py_NewRef(ValueAt(AsRow(self), i)));
  }
  return list;
}

Py_ssize_t Length(PyObject* self) { return Py_SIZE(self); }

// The wish for a field that is not there, as an error that says which there are.
void RaiseNoField(PyObject* error_class, PyObject* self, PyObject* name) {
  PyObject* names = AsRow(self)->names;
  if (names) {
    PyErr_Format(error_class, "Row has no field %R; it has %R", name, names);
  } else {
    PyErr_Format(error_class, "Row has no field %R: its %zd fields have no names", name,
                 Py_SIZE(self));
  }
}

void RaiseNoIndex(PyObject* self, Py_ssize_t index) {
  PyErr_Format(PyExc_IndexError, "Row index %zd is out of range: it has %zd fields", index,
               Py_SIZE(self));
}

PyObject* Item(PyObject* self, Py_ssize_t i) {
  if (i < 0 || i >= Py_SIZE(self)) {
    RaiseNoIndex(self, i);
    return nullptr;
  }
  return Py_NewRef(ValueAt(AsRow(self), i));
}

// Index that a subscript means; -1 with an error set.
Py_ssize_t SubscriptIndex(PyObject* self, PyObject* key) {
  if (PyUnicode_Check(key)) {
    const Py_ssize_t index = RowIndexOf(AsRow(self), key);
    if (index < 0) RaiseNoField(PyExc_ValueError, self, key);
    return index;
  }
  const Py_ssize_t given = PyNumber_AsSsize_t(key, PyExc_IndexError);
  if (given == -1 && PyErr_Occurred()) return -1;
  const Py_ssize_t index = given < 0 ? given + Py_SIZE(self) : given;
  if (index < 0 || index >= Py_SIZE(self)) {
    RaiseNoIndex(self, given);
    return -1;
  }
  return index;
}

PyObject* Subscript(PyObject* self, PyObject* key) {
  if (PySlice_Check(key)) {
    PyRef values = PyRef::Steal(ValuesList(self));
    return values ? PyObject_GetItem(values.get(), key) : nullptr;
  }
  const Py_ssize_t index = SubscriptIndex(self, key);
  return index < 0 ? nullptr : Py_NewRef(ValueAt(AsRow(self), index));
}

int AssignSubscript(PyObject* self, PyObject* key, PyObject* value) {
  if (!value) {
    PyErr_SetString(PyExc_TypeError, "a field of a Row cannot be deleted");
    return -1;
  }
  const Py_ssize_t index = SubscriptIndex(self, key);
  if (index < 0) return -1;
  Py_XSETREF(AsRow(self)->values[index], Py_NewRef(value));
  return 0;
}

int Contains(PyObject* self, PyObject* item) {
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) {
    const int equal = PyObject_RichCompareBool(item, ValueAt(AsRow(self), i), Py_EQ);
    if (equal != 0) return equal;
  }
  return 0;
}

PyObject* Iterate(PyObject* self) {
  PyRef values = PyRef::Steal(ValuesList(self));
  return values ? PyObject_GetIter(values.get()) : nullptr;
}

// Methods win over fields of the same name, as in PyFlink.
PyObject* GetAttribute(PyObject* self, PyObject* name) {
  if (AsRow(self)->names && PyUnicode_Check(name) && !_PyType_Lookup(Py_TYPE(self), name)) {
    const Py_ssize_t index = RowIndexOf(AsRow(self), name);
    if (index >= 0) return Py_NewRef(ValueAt(AsRow(self), index));
    if (PyUnicode_GET_LENGTH(name) > 0 && PyUnicode_READ_CHAR(name, 0) != '_') {
      RaiseNoField(PyExc_AttributeError, self, name);
      return nullptr;
    }
  }
  return PyObject_GenericGetAttr(self, name);
}

int SetAttribute(PyObject* self, PyObject* name, PyObject*) {
  PyErr_Format(
      PyExc_AttributeError,
      "Row is read-only by attribute (%R): assign with row['name'] = value or row[i] = value",
      name);
  (void)self;
  return -1;
}

PyObject* Repr(PyObject* self) {
  const RowObject* row = AsRow(self);
  const int entered = Py_ReprEnter(self);
  if (entered != 0) return entered > 0 ? PyUnicode_FromString("Row(...)") : nullptr;
  PyRef parts = PyRef::Steal(PyList_New(0));
  PyRef comma = PyRef::Steal(PyUnicode_FromString(", "));
  PyRef joined;
  bool ok = parts && comma;
  for (Py_ssize_t i = 0; ok && i < Py_SIZE(self); ++i) {
    PyRef part = PyRef::Steal(
        row->names && i < PyTuple_GET_SIZE(row->names)
            ? PyUnicode_FromFormat("%U=%R", PyTuple_GET_ITEM(row->names, i), ValueAt(row, i))
            : PyObject_Repr(ValueAt(row, i)));
    ok = part && PyList_Append(parts.get(), part.get()) == 0;
  }
  if (ok) joined = PyRef::Steal(PyUnicode_Join(comma.get(), parts.get()));
  Py_ReprLeave(self);
  if (!joined) return nullptr;
  return PyUnicode_FromFormat(row->names ? "Row(%U)" : "<Row(%U)>", joined.get());
}

// 1 equal, 0 not, -1 error. Rows that both have names are compared by name.
int Equal(PyObject* a, PyObject* b) {
  const RowObject* left = AsRow(a);
  const RowObject* right = AsRow(b);
  if (left->kind != right->kind || Py_SIZE(a) != Py_SIZE(b)) return 0;
  const bool by_name = left->names && right->names && left->names != right->names;
  for (Py_ssize_t i = 0; i < Py_SIZE(a); ++i) {
    Py_ssize_t j = i;
    if (by_name) j = RowIndexOf(right, PyTuple_GET_ITEM(left->names, i));
    if (j < 0) return 0;
    const int equal = PyObject_RichCompareBool(ValueAt(left, i), ValueAt(right, j), Py_EQ);
    if (equal <= 0) return equal;
  }
  return 1;
}

PyObject* Compare(PyObject* a, PyObject* b, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || !IsRow(a) || !IsRow(b)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const int equal = Equal(a, b);
  return equal < 0 ? nullptr : PyBool_FromLong((equal == 1) == (operation == Py_EQ));
}

// Does not depend on the order of fields, as equality by name does not either.
Py_hash_t Hash(PyObject* self) {
  Py_uhash_t hash = static_cast<Py_uhash_t>(Py_SIZE(self)) * 0x9e3779b97f4a7c15u;
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) {
    const Py_hash_t value = PyObject_Hash(ValueAt(AsRow(self), i));
    if (value == -1) return -1;
    hash += (static_cast<Py_uhash_t>(value) ^ 0x5bd1e995u) * 0xff51afd7ed558ccdu;
  }
  return hash == static_cast<Py_uhash_t>(-1) ? -2 : static_cast<Py_hash_t>(hash);
}

PyObject* Call(PyObject* self, PyObject* args, PyObject* kwargs) {
  if (kwargs && PyDict_GET_SIZE(kwargs) > 0) {
    PyErr_SetString(PyExc_TypeError, "a Row of names takes its values by position");
    return nullptr;
  }
  if (PyTuple_GET_SIZE(args) != Py_SIZE(self)) {
    return PyErr_Format(PyExc_ValueError,
                        "Can not create Row with fields %R, expected %zd values but got %R", self,
                        Py_SIZE(self), args);
  }
  PyRef values = PyRef::Steal(ValuesList(self));
  PyRef names = values ? PyRef::Steal(NamesTuple(values.get())) : PyRef();
  if (!names) return nullptr;
  PyObject* row = AllocateRow(row_type, names.get(), Py_SIZE(self), 0);
  if (!row) return nullptr;
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) {
    AsRow(row)->values[i] = Py_NewRef(PyTuple_GET_ITEM(args, i));
  }
  return row;
}

// ---- Methods ----

PyObject* Plain(PyObject* value);

PyObject* DictOf(PyObject* self, bool recursive) {
  const RowObject* row = AsRow(self);
  if (!row->names) {
    PyErr_SetString(PyExc_TypeError, "Cannot convert a Row without field names to a dict.");
    return nullptr;
  }
  PyRef dict = PyRef::Steal(PyDict_New());
  if (!dict) return nullptr;
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) {
    PyRef value = PyRef::Steal(recursive ? Plain(ValueAt(row, i)) : Py_NewRef(ValueAt(row, i)));
    if (!value || PyDict_SetItem(dict.get(), PyTuple_GET_ITEM(row->names, i), value.get()) < 0) {
      return nullptr;
    }
  }
  return dict.Release();
}

// Rows inside lists, tuples and dicts as dicts.
PyObject* Plain(PyObject* value) {
  if (IsRow(value)) return DictOf(value, true);
  if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
    PyRef list = PyRef::Steal(PyList_New(0));
    if (!list) return nullptr;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i) {
      PyRef item = PyRef::Steal(Plain(PySequence_Fast_GET_ITEM(value, i)));
      if (!item || PyList_Append(list.get(), item.get()) < 0) return nullptr;
    }
    return PyTuple_CheckExact(value) ? PyList_AsTuple(list.get()) : list.Release();
  }
  if (PyDict_CheckExact(value)) {
    PyRef dict = PyRef::Steal(PyDict_New());
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t at = 0; dict && PyDict_Next(value, &at, &key, &item);) {
      PyRef plain = PyRef::Steal(Plain(item));
      if (!plain || PyDict_SetItem(dict.get(), key, plain.get()) < 0) return nullptr;
    }
    return dict.Release();
  }
  return Py_NewRef(value);
}

PyObject* AsDict(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* keywords[] = {"recursive", nullptr};
  int recursive = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p", const_cast<char**>(keywords), &recursive)) {
    return nullptr;
  }
  return DictOf(self, recursive != 0);
}

PyObject* GetRowKind(PyObject* self, PyObject*) {
  if (!row_kind_class) {
    PyRef module = PyRef::Steal(PyImport_ImportModule("headrace.common"));
    if (module) row_kind_class = PyObject_GetAttrString(module.get(), "RowKind");
    if (!row_kind_class) PyErr_Clear();
  }
  PyRef number = PyRef::Steal(PyLong_FromLong(AsRow(self)->kind));
  return row_kind_class ? PyObject_CallOneArg(row_kind_class, number.get()) : number.Release();
}

PyObject* SetRowKind(PyObject* self, PyObject* kind) {
  if (!ParseKind(kind, &AsRow(self)->kind)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* SetFieldNames(PyObject* self, PyObject* names) {
  PyObject* tuple = NamesTuple(names);
  if (!tuple) return nullptr;
  if (PyTuple_GET_SIZE(tuple) != Py_SIZE(self)) {
    PyErr_Format(PyExc_ValueError, "a Row of %zd values cannot have the field names %R",
                 Py_SIZE(self), names);
    Py_DECREF(tuple);
    return nullptr;
  }
  Py_XSETREF(AsRow(self)->names, tuple);
  Py_RETURN_NONE;
}

PyObject* GetFieldsByNames(PyObject* self, PyObject* names) {
  PyRef wanted = PyRef::Steal(PySequence_Fast(names, "names must be a list of str"));
  PyRef list = PyRef::Steal(wanted ? PyList_New(0) : nullptr);
  if (!list) return nullptr;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(wanted.get()); ++i) {
    PyObject* name = PySequence_Fast_GET_ITEM(wanted.get(), i);
    const Py_ssize_t index = RowIndexOf(AsRow(self), name);
    if (index < 0) {
      PyRef own = PyRef::Steal(NamesOrEmpty(AsRow(self)));
      return PyErr_Format(PyExc_ValueError, "no field %R in a Row with the fields %R", name,
                          own.get());
    }
    if (PyList_Append(list.get(), ValueAt(AsRow(self), index)) < 0) return nullptr;
  }
  return list.Release();
}

PyObject* OfKind(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  if (nargs < 1) {
    PyErr_SetString(PyExc_TypeError, "of_kind() needs the row kind as its first argument");
    return nullptr;
  }
  uint8_t kind = 0;
  if (!ParseKind(args[0], &kind)) return nullptr;
  PyObject* row = MakeRow(row_type, args + 1, nargs - 1, kwnames);
  if (row) AsRow(row)->kind = kind;
  return row;
}

PyObject* Reduce(PyObject* self, PyObject*) {
  PyRef module = PyRef::Steal(PyImport_ImportModule("headrace._core"));
  PyRef maker =
      PyRef::Steal(module ? PyObject_GetAttrString(module.get(), "_create_row") : nullptr);
  PyRef values = PyRef::Steal(maker ? ValuesList(self) : nullptr);
  if (!values) return nullptr;
  PyObject* names = AsRow(self)->names;
  return Py_BuildValue("O(OOi)", maker.get(), names ? names : Py_None, values.get(),
                       static_cast<int>(AsRow(self)->kind));
}

PyObject* CreateRow(PyObject*, PyObject* args) {
  PyObject *names = nullptr, *values = nullptr;
  int kind = 0;
  if (!PyArg_ParseTuple(args, "OO!i", &names, &PyList_Type, &values, &kind)) return nullptr;
  PyRef tuple;
  if (names != Py_None) {
    tuple = PyRef::Steal(NamesTuple(names));
    if (!tuple) return nullptr;
  }
  const Py_ssize_t size = PyList_GET_SIZE(values);
  if (kind < 0 || kind > 3 || (tuple && PyTuple_GET_SIZE(tuple.get()) != size)) {
    PyErr_SetString(PyExc_ValueError, "not a pickled Row");
    return nullptr;
  }
  PyObject* row = NewRow(tuple.get(), size, static_cast<uint8_t>(kind));
  for (Py_ssize_t i = 0; row && i < size; ++i) {
    AsRow(row)->values[i] = Py_NewRef(PyList_GET_ITEM(values, i));
  }
  return row;
}

PyObject* GetFields(PyObject* self, void*) {
  PyRef names = PyRef::Steal(NamesOrEmpty(AsRow(self)));
  return names ? PySequence_List(names.get()) : nullptr;
}
PyObject* GetValues(PyObject* self, void*) { return ValuesList(self); }

template <typename Function>
PyCFunction Method(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"as_dict", Method(AsDict), METH_VARARGS | METH_KEYWORDS,
     "The fields as a dict; with recursive=True rows inside become dicts too."},
    {"get_row_kind", GetRowKind, METH_NOARGS, "The kind of change the row stands for."},
    {"set_row_kind", SetRowKind, METH_O, "Sets the kind of change the row stands for."},
    {"set_field_names", SetFieldNames, METH_O, "Gives the values names."},
    {"get_fields_by_names", GetFieldsByNames, METH_O, "The values of the named fields."},
    {"of_kind", Method(OfKind), METH_FASTCALL | METH_KEYWORDS | METH_STATIC,
     "A row of the given kind."},
    {"__reduce__", Reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef getters[] = {
    {"_fields", GetFields, nullptr, "Field names, [] without names.", nullptr},
    {"_values", GetValues, nullptr, "The values.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef module_functions[] = {
    {"_create_row", CreateRow, METH_VARARGS, "Makes a Row again from its pickle."},
    {nullptr, nullptr, 0, nullptr},
};

template <typename Function>
void* Slot(Function function) {
  return reinterpret_cast<void*>(function);
}

const char kDoc[] =
    "A record of named or numbered fields: Row(1, 'a') or Row(id=1, name='a').\n\n"
    "Read by index, slice, name or attribute; assign with row[i] or row['name']. A Row of names\n"
    "is a factory: Person = Row('name', 'age'); Person('Ann', 30).";

}  // namespace

PyObject* NewRow(PyObject* names, Py_ssize_t size, uint8_t kind) {
  return AllocateRow(row_type, names, size, kind);
}

Py_ssize_t RowIndexOf(const RowObject* row, PyObject* name) {
  if (!row->names || !PyUnicode_Check(name)) return -1;
  const Py_ssize_t size = PyTuple_GET_SIZE(row->names);
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (PyTuple_GET_ITEM(row->names, i) == name) return i;
  }
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (PyUnicode_Compare(PyTuple_GET_ITEM(row->names, i), name) == 0) return i;
  }
  return -1;
}

bool AddRowType(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>(kDoc)},
      {Py_tp_new, Slot(New)},
      {Py_tp_init, Slot(Init)},
      {Py_tp_dealloc, Slot(Dealloc)},
      {Py_tp_traverse, Slot(Traverse)},
      {Py_tp_clear, Slot(Clear)},
      {Py_tp_repr, Slot(Repr)},
      {Py_tp_hash, Slot(Hash)},
      {Py_tp_call, Slot(Call)},
      {Py_tp_iter, Slot(Iterate)},
      {Py_tp_richcompare, Slot(Compare)},
      {Py_tp_getattro, Slot(GetAttribute)},
      {Py_tp_setattro, Slot(SetAttribute)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getters},
      {Py_sq_length, Slot(Length)},
      {Py_sq_item, Slot(Item)},
      {Py_sq_contains, Slot(Contains)},
      {Py_mp_length, Slot(Length)},
      {Py_mp_subscript, Slot(Subscript)},
      {Py_mp_ass_subscript, Slot(AssignSubscript)},
      {0, nullptr},
  };
  PyType_Spec spec = {"headrace._core.Row", offsetof(RowObject, values), sizeof(PyObject*),
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};
  row_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!row_type) return false;
  row_type->tp_vectorcall = Vectorcall;
  return PyModule_AddObjectRef(module, "Row", reinterpret_cast<PyObject*>(row_type)) == 0 &&
         PyModule_AddFunctions(module, module_functions) == 0;
}

}  // namespace headrace::bindings
