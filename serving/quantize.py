"""Eight-bit weights and arithmetic for an exported network, calibrated on pictures."""

import contextlib
import logging
import pathlib

from core.errors import UserError


def to_int8(source, output, batches) -> None:
    """Write `output`, the ONNX file `source` with convolutions and dense layers in int8.

    Weights get one scale for each output, activations one for each tensor, from their range over `batches`.

    Parameters
    ----------
    source, output : paths
    batches : iterable of uint8 (n, S, S, 3), pictures like those that will come, already through the test view
    """
    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise UserError(f'int8 needs the packages onnx and onnxruntime ({error}). Fix: pip install onnx==1.16.2 '
                        'onnxruntime') from error
    import onnx

    class Pictures(CalibrationDataReader):
        def __init__(self):
            self.left = iter(batches)

        def get_next(self):
            return next(({'image': batch} for batch in self.left), None)

    aside = pathlib.Path(f'{output}.new.onnx')
    with _quiet(), contextlib.suppress(FileNotFoundError):
        try:
            quantize_static(str(source), str(aside), Pictures(), quant_format=QuantFormat.QDQ, per_channel=True,
                            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
                            op_types_to_quantize=['Conv', 'Gemm', 'Add', 'Clip', 'Relu'])
            model = onnx.load(str(aside))
            told = {entry.key: entry.value for entry in onnx.load(str(source)).metadata_props}
            onnx.helper.set_model_props(model, dict(told, precision='int8'))
            onnx.save(model, str(aside))
            aside.replace(output)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet():
    """Without the advice that ONNX Runtime logs at each call."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
