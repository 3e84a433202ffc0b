//! The WSDL 1.1 of the services: SOAP 1.2, document and literal.

use std::fmt::Write as _;

use super::query::Services;
use super::reply::escaped;
use super::service::Service;

/// Writes the WSDL of some services that are called at `url`, which is their namespace, too.
pub(super) fn document(url: &str, services: &Services) -> String {
    let url = escaped(url);
    let all = |part: fn(&mut String, Service, &str)| {
        services.iter().fold(String::new(), |mut text, service| {
            part(&mut text, service, &url);
            text
        })
    };
    let (elements, messages) = (all(elements), all(messages));
    let (port_types, bindings, ports) = (all(port_type), all(binding), all(port));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:tns="{url}" name="MagentoWSDL" targetNamespace="{url}">
  <types>
    <xsd:schema targetNamespace="{url}">
{elements}{FAULT}    </xsd:schema>
  </types>
{messages}  <message name="GenericFault">
    <part name="messageParameters" element="tns:GenericFault"/>
  </message>
{port_types}{bindings}{ports}</definitions>
"#
    )
}

/// The types of the detail of a fault.
const FAULT: &str = r#"      <xsd:element name="GenericFault" type="tns:GenericFault"/>
      <xsd:complexType name="GenericFault">
        <xsd:sequence>
          <xsd:element name="Parameters" type="tns:ArrayOfGenericFaultParameter" form="qualified" minOccurs="0"/>
          <xsd:element name="WrappedErrors" type="tns:ArrayOfWrappedError" form="qualified" minOccurs="0"/>
        </xsd:sequence>
      </xsd:complexType>
      <xsd:complexType name="ArrayOfGenericFaultParameter">
        <xsd:sequence>
          <xsd:element name="GenericFaultParameter" type="tns:GenericFaultParameter" form="qualified" maxOccurs="unbounded"/>
        </xsd:sequence>
      </xsd:complexType>
      <xsd:complexType name="GenericFaultParameter">
        <xsd:sequence>
          <xsd:element name="key" type="xsd:string" form="qualified"/>
          <xsd:element name="value" type="xsd:string" form="qualified"/>
        </xsd:sequence>
      </xsd:complexType>
      <xsd:complexType name="ArrayOfWrappedError">
        <xsd:sequence>
          <xsd:element name="WrappedError" type="tns:WrappedError" form="qualified" maxOccurs="unbounded"/>
        </xsd:sequence>
      </xsd:complexType>
      <xsd:complexType name="WrappedError">
        <xsd:sequence>
          <xsd:element name="message" type="xsd:string" form="qualified"/>
          <xsd:element name="parameters" type="tns:ArrayOfParameter" form="qualified" minOccurs="0"/>
        </xsd:sequence>
      </xsd:complexType>
      <xsd:complexType name="ArrayOfParameter">
        <xsd:sequence>
          <xsd:element name="parameter" type="tns:GenericFaultParameter" form="qualified" maxOccurs="unbounded"/>
        </xsd:sequence>
      </xsd:complexType>
"#;

fn elements(text: &mut String, service: Service, _: &str) {
    let operation = service.operation();
    // Writing to a string can't fail.
    let _ = write!(
        text,
        r#"      <xsd:element name="{operation}Request">
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="username" type="xsd:string"/>
            <xsd:element name="password" type="xsd:string"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
      <xsd:element name="{operation}Response">
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="result" type="xsd:string"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
"#
    );
}

fn messages(text: &mut String, service: Service, _: &str) {
    for kind in ["Request", "Response"] {
        let name = format!("{}{kind}", service.operation());
        let _ = write!(
            text,
            r#"  <message name="{name}">
    <part name="messageParameters" element="tns:{name}"/>
  </message>
"#
        );
    }
}

fn port_type(text: &mut String, service: Service, _: &str) {
    let (name, operation) = (service.name(), service.operation());
    let _ = write!(
        text,
        r#"  <portType name="{name}PortType">
    <operation name="{operation}">
      <input message="tns:{operation}Request"/>
      <output message="tns:{operation}Response"/>
      <fault name="GenericFault" message="tns:GenericFault"/>
    </operation>
  </portType>
"#
    );
}

fn binding(text: &mut String, service: Service, _: &str) {
    let (name, operation) = (service.name(), service.operation());
    let _ = write!(
        text,
        r#"  <binding name="{name}Binding" type="tns:{name}PortType">
    <soap12:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="{operation}">
      <soap12:operation soapAction="{operation}"/>
      <input>
        <soap12:body use="literal"/>
      </input>
      <output>
        <soap12:body use="literal"/>
      </output>
      <fault name="GenericFault">
        <soap12:fault name="GenericFault" use="literal"/>
      </fault>
    </operation>
  </binding>
"#
    );
}

fn port(text: &mut String, service: Service, url: &str) {
    let name = service.name();
    let _ = write!(
        text,
        r#"  <service name="{name}Service">
    <port name="{name}Port" binding="tns:{name}Binding">
      <soap12:address location="{url}"/>
    </port>
  </service>
"#
    );
}
