"""The words of e-mails, one language each."""

from collections.abc import Mapping
from dataclasses import dataclass

from fotograma.errors import CODES


@dataclass(frozen=True)
class AccountWords:
    """What a mail about an account says."""

    page: str
    """Where its link leads, up to the secret."""
    title: str
    sentence: str
    button: str
    why: str


@dataclass(frozen=True)
class Words:
    """Everything an e-mail says in one language; `{...}` is filled in."""

    language: str
    """As HTML's `lang` has it."""
    numbers: str
    """The locale numbers and dates are written by."""
    completed_subject: str
    completed: str
    failed_subject: str
    failed: str
    expiring_subject: str
    expiring: str
    gone_at: str
    download: str
    works_until: str
    later: str
    try_again: str
    video: str
    frames: str
    size: str
    plan: str
    error: str
    reference: str
    warnings: str
    more_warnings: str
    why: str
    works_once_until: str
    account_address: str
    account: Mapping[str, AccountWords]
    """Mails about accounts, by their kind."""
    sentences: Mapping[str, str]
    """What each code means and what to do."""


ENGLISH = Words(
    language="en",
    numbers="en",
    completed_subject="Your frames are ready: {filename}",
    completed="Your frames are ready",
    failed_subject="No frames could be taken: {filename}",
    failed="No frames could be taken from your video",
    expiring_subject="Your frames will be removed soon: {filename}",
    expiring="Your frames will be removed soon",
    gone_at="The video and its frames are kept until {date}, {time} UTC. Download them before, to keep them.",
    download="Download the ZIP",
    works_until="The link works without signing in until {date}, {time} UTC.",
    later="After that, sign in and get it here:",
    try_again="Try again",
    video="Video",
    frames="Frames",
    size="Size",
    plan="Wanted",
    error="Error",
    reference="Reference",
    warnings="Please note",
    more_warnings="... and {count} more.",
    why="You get this message because you asked Fotograma for the frames of a video.",
    works_once_until="The link works once, until {date}, {time} UTC.",
    account_address="Account",
    account={
        "reset": AccountWords(
            page="reset-password#token",
            title="Choose a new password",
            sentence="Somebody, most likely you, has asked for a new password for your Fotograma account. Choosing one "
            "signs you out everywhere.",
            button="Choose a password",
            why="If it was not you, do nothing: your password stays as it is.",
        ),
        "confirm": AccountWords(
            page="confirm-email#token",
            title="Confirm your e-mail address",
            sentence="With this address a Fotograma account was made. Confirm that it is yours.",
            button="Confirm the address",
            why="If you did not make an account, do nothing.",
        ),
        "invitation": AccountWords(
            page="sign-up#invitation",
            title="You are invited to Fotograma",
            sentence="You may make an account with this address, and take exact frames out of your videos.",
            button="Make an account",
            why="You get this message because somebody who runs this Fotograma has invited you.",
        ),
    },
    sentences={name: code.sentence for name, code in CODES.items()},
)

PORTUGUESE = Words(
    language="pt-BR",
    numbers="pt_BR",
    completed_subject="Seus fotogramas estão prontos: {filename}",
    completed="Seus fotogramas estão prontos",
    failed_subject="Não foi possível extrair os fotogramas: {filename}",
    failed="Não foi possível extrair os fotogramas do seu vídeo",
    expiring_subject="Seus fotogramas serão apagados em breve: {filename}",
    expiring="Seus fotogramas serão apagados em breve",
    gone_at="O vídeo e os fotogramas ficam guardados até {date}, {time} UTC. Baixe-os antes, se quiser ficar com eles.",
    download="Baixar o ZIP",
    works_until="O link funciona sem login até {date}, {time} UTC.",
    later="Depois disso, entre na sua conta e baixe aqui:",
    try_again="Tentar de novo",
    video="Vídeo",
    frames="Fotogramas",
    size="Tamanho",
    plan="Pedido",
    error="Erro",
    reference="Referência",
    warnings="Atenção",
    more_warnings="... e mais {count}.",
    why="Você recebeu esta mensagem porque pediu ao Fotograma os fotogramas de um vídeo.",
    works_once_until="O link funciona uma única vez, até {date}, {time} UTC.",
    account_address="Conta",
    account={
        "reset": AccountWords(
            page="reset-password#token",
            title="Escolha uma nova senha",
            sentence="Alguém, provavelmente você, pediu uma nova senha para a sua conta no Fotograma. Ao escolhê-la, "
            "você sai da conta em todos os aparelhos.",
            button="Escolher uma senha",
            why="Se não foi você, não faça nada: sua senha continua a mesma.",
        ),
        "confirm": AccountWords(
            page="confirm-email#token",
            title="Confirme seu endereço de e-mail",
            sentence="Uma conta no Fotograma foi criada com este endereço. Confirme que ele é seu.",
            button="Confirmar o endereço",
            why="Se você não criou uma conta, não faça nada.",
        ),
        "invitation": AccountWords(
            page="sign-up#invitation",
            title="Você foi convidado para o Fotograma",
            sentence="Você pode criar uma conta com este endereço e extrair fotogramas exatos dos seus vídeos.",
            button="Criar uma conta",
            why="Você recebeu esta mensagem porque alguém que administra este Fotograma convidou você.",
        ),
    },
    sentences={
        "BAD_PLAN": "O pedido de fotogramas não é válido; confira e corrija as opções escolhidas.",
        "NOT_A_VIDEO": "Este arquivo não é um vídeo que conseguimos ler; converta-o para MP4 ou MKV e tente de novo.",
        "NO_VIDEO_STREAM": (
            "O arquivo não tem imagem em movimento (só som ou uma capa); escolha um arquivo que tenha vídeo."
        ),
        "NO_FRAMES": "Nenhum fotograma pôde ser decodificado; o arquivo está vazio ou todo danificado.",
        "NOTHING_SELECTED": (
            "O pedido não escolhe nenhum fotograma deste vídeo; amplie o intervalo ou peça mais fotogramas."
        ),
        "ENCRYPTED": "O vídeo está criptografado; envie um sem proteção contra cópia.",
        "CODEC_NOT_ALLOWED": (
            "O codec do vídeo não está entre os aceitos aqui; converta-o para H.264 ou fale com o administrador."
        ),
        "LIMIT_PIXELS": "A imagem é maior que o permitido; reduza a resolução do vídeo.",
        "LIMIT_STREAMS": "O arquivo tem mais faixas que o permitido; deixe só a de vídeo.",
        "LIMIT_FRAMES": "O pedido dá mais fotogramas que o permitido; peça menos ou um trecho mais curto.",
        "LIMIT_BYTES": (
            "Os fotogramas ocupam mais que o permitido; peça menos, em tamanho menor ou com qualidade mais baixa."
        ),
        "LIMIT_TIME": "A decodificação passou do tempo permitido; peça um trecho mais curto ou corte o vídeo.",
        "LIMIT_MEMORY": "A decodificação precisa de mais memória que o permitido; reduza a resolução do vídeo.",
        "DECODER_CRASHED": "O decodificador parou neste arquivo; é provável que ele esteja danificado de propósito.",
        "JAIL_INCOMPLETE": (
            "O vídeo não pôde ser decodificado com segurança na máquina que o recebeu; fale com o administrador."
        ),
        "OUTPUT_REFUSED": "Não dá para gravar ali; escolha um arquivo numa pasta que existe e em que você pode gravar.",
        "OUTPUT_FULL": "Acabou o espaço onde os fotogramas são gravados; libere espaço ou escolha outro lugar.",
        "STORAGE_UNAVAILABLE": "Os arquivos não podem ser lidos ou gravados agora; tente de novo mais tarde.",
        "UPLOAD_CHANGED": "Os bytes armazenados não são os que foram anunciados e concluídos; envie o vídeo de novo.",
        "IMPORT_REFUSED": "O endereço não dá um arquivo que se possa buscar; dê um que qualquer pessoa consiga baixar.",
        "IMPORT_LIMIT": "O arquivo no endereço é maior que o permitido ou demora demais; envie-o diretamente.",
        "IMPORT_UNREACHABLE": "O endereço não respondeu ou parou no meio; veja se ele funciona e importe de novo.",
        "LOST": "As máquinas que trabalhavam neste vídeo caíram repetidas vezes; tente de novo mais tarde.",
        "CANCELLED": "A extração foi cancelada.",
        "TRUNCATED": "O arquivo termina antes da hora; o que pôde ser decodificado está no ZIP.",
        "DAMAGED": "Partes do vídeo estão danificadas; o que pôde ser decodificado está no ZIP.",
        "MISSING_TIMES": "Alguns fotogramas não trazem o tempo; ele foi calculado a partir dos vizinhos.",
        "BACKWARD_TIMES": "Alguns tempos andam para trás; eles ficaram com o tempo do fotograma anterior.",
        "PACKETS_WITHOUT_FRAMES": ("Alguns pacotes não deram fotograma; faltam o começo ou partes do vídeo."),
        "SIZE_CHANGES": "O tamanho da imagem muda ao longo do vídeo; cada fotograma tem o seu.",
        "PAST_THE_END": "Alguns dos tempos pedidos ficam depois do último fotograma; eles não deram nada.",
        "TARGETS_CUT": "Um fotograma estava na tela em muitos dos tempos pedidos; só os primeiros são listados.",
    },
)


def words_for(locale: str) -> Words:
    """Brazilian Portuguese for those who chose it, English for everybody else."""
    return PORTUGUESE if locale.replace("_", "-").lower() in ("pt", "pt-br") else ENGLISH
