from maxtunnel.files import FormatError as FormatError
